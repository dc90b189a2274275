# No log was named: the journal or the usual file, whichever is there, and the better one when it comes.
import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import Final, Literal

import msgspec
from msgspec import Struct

from pyfilter.interfaces import Clock, Source, Stamp
from pyfilter.model import Block, Position, SourceState
from pyfilter.sources.files import FileSource
from pyfilter.sources.journal import Journal, JournalSource
from pyfilter.sources.journalctl import SOCKET, journal_trouble, match_arguments
from pyfilter.sources.paths import look
from pyfilter.sources.watch import Watch

_JOURNAL: Final = "journal"
_ABSENT: Final = 10.0  # seconds without its file after which another source is taken


class Usual(Struct, frozen=True, tag="usual", tag_field="type", forbid_unknown_fields=True):
    """The journal, else the first of the usual files; or the named files, else the journal."""

    paths: tuple[str, ...] = ()
    matches: tuple[str, ...] = ()
    prefer: Literal["journal", "file"] = "journal"
    directory: str = ""  # of journal files, instead of this machine's own journal

    def open(self, stamp: Stamp, clock: Clock) -> Source:
        return UsualSource(self, stamp, clock)


class UsualSource:
    """Reads one of several sources and goes over to a better one when it appears."""

    def __init__(self, settings: Usual, stamp: Stamp, clock: Clock) -> None:
        match_arguments(settings.matches)  # refuses at once what the journal would refuse later
        journal = " + ".join(settings.matches)
        self.name = f"{' '.join(settings.paths)} or journal {journal}".strip()
        self._settings = settings
        self._stamp = stamp
        self._clock = clock
        self._choice: tuple[str, ...] = ()
        self._source: Source | None = None
        self._tokens: dict[str, str] = {}
        self._turn: asyncio.Timeout | None = None
        self._changed = False
        self._lines = 0

    async def blocks(self, resume: Position | None, since: float) -> AsyncGenerator[Block, None]:
        self._tokens = _decode(resume)
        watch = Watch()
        try:
            while True:
                self._choice = await self._choose_something(watch)
                source = self._source = self._open(self._choice)
                chooser = asyncio.create_task(self._await_better(watch, self._choice))
                inner = source.blocks(self._resume(self._choice), since)
                try:
                    while (block := await self._next(inner)) is not None:
                        yield block
                finally:
                    await _end(chooser, inner)
                    self._remember()
                since = max(since, source.state().last_line or since)
                self._lines += source.state().lines
                self._source = None
        finally:
            watch.close()

    def position(self) -> Position | None:
        self._remember()
        if not self._tokens:
            return None
        return Position(self.name, msgspec.json.encode(self._tokens).decode())

    def state(self) -> SourceState:
        wanted = " ".join(self._settings.paths)
        if self._source is None:
            trouble = journal_trouble(self._settings.directory) if self._settings.matches else ""
            detail = "; ".join(filter(None, [wanted and f"waiting for {wanted}", trouble]))
            return SourceState(self.name, "waiting", detail, lines=self._lines)
        inner = self._source.state()
        detail = f"reading {' '.join(self._choice)}"
        if self._choice == (_JOURNAL,):
            detail = "reading the journal"
            if self._settings.prefer == "file":
                detail += f" while {wanted} is missing"
        detail = "; ".join(filter(None, [detail, inner.detail]))
        return SourceState(
            self.name, inner.state, detail, self._lines + inner.lines, inner.last_line, inner.lag
        )

    def _choose(self) -> tuple[str, ...]:
        """Return the journal's name, the files to read, or nothing."""
        settings = self._settings
        journal = bool(settings.matches) and not journal_trouble(settings.directory)
        if journal and settings.prefer == "journal":
            return (_JOURNAL,)
        present = [path for path in settings.paths if look((path,)).files]
        if present:
            return settings.paths if settings.prefer == "file" else (present[0],)
        return (_JOURNAL,) if journal else ()

    async def _choose_something(self, watch: Watch) -> tuple[str, ...]:
        while True:
            self._watch(watch)
            if choice := self._choose():
                return choice
            await watch.changes(None)

    async def _await_better(self, watch: Watch, choice: tuple[str, ...]) -> None:
        """End the present source when another is to be read."""
        while True:
            self._watch(watch)
            better = self._choose()
            lesser = (better == (_JOURNAL,)) == (self._settings.prefer == "file")
            if better not in {choice, ()} and lesser:  # a rotation takes a moment
                await asyncio.sleep(_ABSENT)
                better = self._choose()
            if better not in {choice, ()}:
                break
            await watch.changes(None)
        self._changed = True
        if self._turn is not None:
            self._turn.reschedule(asyncio.get_running_loop().time())

    async def _next(self, inner: AsyncGenerator[Block, None]) -> Block | None:
        """Return the next block; None when another source is to be read."""
        if self._changed:
            self._changed = False
            return None
        try:
            async with asyncio.timeout(None) as self._turn:
                return await anext(inner)
        except TimeoutError:
            self._changed = False
            return None
        finally:
            self._turn = None

    def _watch(self, watch: Watch) -> None:
        paths = (*self._settings.paths, *([SOCKET] if self._settings.matches else []))
        while watch.folders(look(paths).folders):
            pass

    def _open(self, choice: tuple[str, ...]) -> Source:
        if choice == (_JOURNAL,):
            journal = Journal(self._settings.matches, self._settings.directory)
            return JournalSource(journal, self._clock, self.name)
        return FileSource(choice, self._stamp, self._clock, self.name)

    def _resume(self, choice: tuple[str, ...]) -> Position | None:
        token = self._tokens.get(" ".join(choice))
        return None if token is None else Position(self.name, token)

    def _remember(self) -> None:
        if self._source is not None and (position := self._source.position()):
            self._tokens[" ".join(self._choice)] = position.token


async def _end(chooser: "asyncio.Task[None]", inner: AsyncGenerator[Block, None]) -> None:
    chooser.cancel()
    with suppress(asyncio.CancelledError):
        await chooser
    await inner.aclose()


def _decode(resume: Position | None) -> dict[str, str]:
    try:
        return msgspec.json.decode(resume.token, type=dict[str, str]) if resume else {}
    except msgspec.MsgspecError:
        return {}
