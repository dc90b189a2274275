# The journalctl child: its arguments, its output, its end. Arguments are a list, never a shell's.
import asyncio
import os
import shutil
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from pyfilter.errors import SettingsError
from pyfilter.sources.entries import FIELDS
from pyfilter.sources.lines import BLOCK

SOCKET: Final = "/run/systemd/journal/socket"
_FOLDERS: Final = ("/run/log/journal", "/var/log/journal")
_COMMAND: Final = (
    *("journalctl", "--follow", "--no-tail", "--no-pager", "--quiet", "--all"),
    *("--output=json", f"--output-fields={FIELDS}"),
)
_MACHINE: Final = Path("/etc/machine-id")
_PATIENCE: Final = 2.0  # seconds that the child has to end


def match_arguments(matches: tuple[str, ...]) -> list[str]:
    """Return journalctl's match arguments. Raises SettingsError for a field that can be forged."""
    groups = []
    for match in matches:
        terms = match.split()
        for term in terms:
            if not term.startswith("_") or "=" not in term:
                raise SettingsError(
                    f"journal match {term!r} is refused: any user can write that field; "
                    "use fields that journald sets, such as _SYSTEMD_UNIT=, _EXE= or _COMM="
                )
        if not any(term.startswith(("_UID=", "_TRANSPORT=kernel")) for term in terms):
            terms.insert(0, "_UID=0")
        groups.append([term for term in terms if term != "_UID=*"])
    joined = [term for group in groups for term in ("+", *group)]
    return joined[1:]


def merged(arguments: list[str], machine: str) -> list[str]:
    """Return arguments that read all boots of one machine.

    Without --merge, --follow leaves out what was written before the last reboot, and everything in
    a container's service whose /proc shows the host's boot id; with it, other machines' journals
    are read too, so each alternative names the machine.
    """
    confined = ["--merge"]
    for term in ("+", *arguments):
        confined += [term, f"_MACHINE_ID={machine}"] if term == "+" else [term]
    return [confined[0], *confined[2:]]


def journal_trouble(directory: str = "") -> str:
    """Say why the journal cannot be read here; nothing when it can."""
    if shutil.which("journalctl") is None:
        return "journalctl is not installed"
    if not directory and not Path(SOCKET).exists():
        return "systemd-journald does not run here"
    folders = [directory] if directory else _FOLDERS
    journals = [file for folder in folders for file in Path(folder).glob("**/*.journal")]
    if not journals:
        return "there are no journal files"
    for journal in journals:
        with suppress(OSError):
            os.close(os.open(journal, os.O_RDONLY | os.O_CLOEXEC))
            return ""
    return "journal files may not be read: add this user to the group systemd-journal"


class Child:
    """One run of journalctl."""

    def __init__(self, process: asyncio.subprocess.Process, errors: int) -> None:
        self._process = process
        self._errors = errors  # a nameless file: nobody has to read along

    @classmethod
    async def start(cls, arguments: list[str], directory: str = "") -> "Child":
        """Start the child. Raises OSError when there is no journalctl."""
        errors = os.memfd_create("journalctl")
        place = [f"--directory={directory}"] if directory else []
        if not directory and _MACHINE.exists():
            arguments = merged(arguments, _MACHINE.read_text().strip())
        try:
            process = await asyncio.create_subprocess_exec(
                *_COMMAND,
                *place,
                *arguments,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=errors,
                env=os.environ | {"LC_ALL": "C"},
                limit=BLOCK,
            )
        except BaseException:
            os.close(errors)
            raise
        return cls(process, errors)

    async def chunks(self, portion: Callable[[], int]) -> AsyncIterator[bytes]:
        """Yield what the child prints, as it comes, until it ends; at most a portion of bytes."""
        if self._process.stdout is not None:
            while chunk := await self._process.stdout.read(portion()):
                yield chunk
        await self._process.wait()

    async def stop(self) -> str:
        """End the child if it has not ended; return the last thing it complained of."""
        try:
            if self._process.returncode is None:
                with suppress(ProcessLookupError):
                    os.kill(self._process.pid, signal.SIGTERM)
                await self._wait()
            size = os.fstat(self._errors).st_size
            words = os.pread(self._errors, 4096, max(0, size - 4096)).decode(errors="replace")
        finally:
            os.close(self._errors)
        return words.strip().rpartition("\n")[2]

    async def _wait(self) -> None:
        try:
            async with asyncio.timeout(_PATIENCE):
                await self._process.wait()
        except (TimeoutError, asyncio.CancelledError):
            with suppress(ProcessLookupError):
                os.kill(self._process.pid, signal.SIGKILL)
            await self._process.wait()
            raise
