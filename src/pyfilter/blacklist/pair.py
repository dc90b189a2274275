# blacklist.v4 and blacklist.v6 together: written from the bans, watched for edits.
import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path

from asyncinotify import Inotify, Mask
from msgspec import Struct

from pyfilter.addresses import Network
from pyfilter.blacklist.file import BlacklistFile
from pyfilter.blacklist.form import subjects_of
from pyfilter.model import Ban

_POLL = 1.0  # seconds between looks where the kernel gives no watch


class Edits(Struct, frozen=True):
    """What somebody changed by hand."""

    removed: frozenset[Network] = frozenset()  # to be released
    added: frozenset[Network] = frozenset()  # to be banned


class Blacklist:
    """The pair of files.

    At start and at every turn of `watch`: apply `edits`, then `write` the bans in force. When bans
    change, `write` soon; where it returns False, look at `edits` and write again within seconds.
    """

    def __init__(
        self,
        v4: str,
        v6: str,
        action: str,
        state_dir: str,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Take the paths of both files ("": none), drop or reject, and where copies are kept."""
        copies = Path(state_dir)
        self._files = {
            ip_version: BlacklistFile(
                Path(path), copies / f"blacklist.v{ip_version}", ip_version, action, clock
            )
            for ip_version, path in ((4, v4), (6, v6))
            if path
        }
        self.blind = ""  # why edits are looked for by the second only

    def edits(self) -> Edits:
        """Return what was changed by hand since the last look; each change is told once."""
        found = [file.edits() for file in self._files.values()]
        return Edits(
            removed=frozenset().union(*(removed for removed, _ in found)),
            added=frozenset().union(*(added for _, added in found)),
        )

    def write(self, bans: Iterable[Ban]) -> bool:
        """Bring the files in line with the bans in force; False: call again within seconds."""
        listed = list(bans)
        done = [file.write(subjects_of(listed, number)) for number, file in self._files.items()]
        return all(done)

    def troubles(self) -> list[str]:
        """Return what is wrong with the files, with file and line, one line each."""
        return [file.trouble for file in self._files.values() if file.trouble]

    async def watch(self) -> AsyncIterator[None]:
        """Yield whenever one of the files may have been edited."""
        names = {file.path.name for file in self._files.values()}
        folders = {file.path.parent for file in self._files.values()}
        try:
            with Inotify() as inotify:
                for folder in folders:
                    inotify.add_watch(folder, Mask.CLOSE_WRITE | Mask.MOVED_TO)
                async for event in inotify:
                    if event.name is None or event.name.name in names:
                        yield
        except OSError as error:
            self.blind = f"edits of the blacklist are looked for each second: {error.strerror}"
        while self.blind:
            await asyncio.sleep(_POLL)
            yield
