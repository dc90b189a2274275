# Writes lines for people, to a stream and to hourly files, without ever holding up who speaks.
import queue
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

from msgspec import Struct

from pyfilter.visible import visible

_MOST_WAITING = 10_000  # lines; a stopped terminal or a dead disk must not eat memory
_PATIENCE = 2.0  # seconds that closing waits for lines under way


class Line(Struct, frozen=True):
    """One line and the moment it was said, in seconds since the epoch."""

    text: str
    at: float
    stamped: bool  # the stream shows the time; files always do


class Speaker:
    """Takes lines from anybody and writes them in a thread of its own."""

    def __init__(
        self,
        stream: TextIO | None,
        directory: Path | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.trouble = ""  # why a line was last lost
        self._stream, self._directory, self._clock = stream, directory, clock
        self._waiting: queue.Queue[Line | None] = queue.Queue(_MOST_WAITING)
        self._thread = threading.Thread(target=self._write_all, name="speaker", daemon=True)
        self._thread.start()

    def say(self, text: str, *, stamped: bool = False) -> None:
        """Take a line to be written soon; never waits, never raises."""
        try:
            self._waiting.put_nowait(Line(visible(text), self._clock(), stamped))
        except queue.Full:
            self.trouble = f"more than {_MOST_WAITING} lines wait to be written"

    def close(self) -> None:
        """Write what waits, as far as that is possible within seconds."""
        try:
            self._waiting.put(None, timeout=_PATIENCE)
        except queue.Full:
            return
        self._thread.join(_PATIENCE)

    def _write_all(self) -> None:
        while (line := self._waiting.get()) is not None:
            try:
                self._write(line)
            except (OSError, ValueError) as error:  # the stream is closed or broken
                self.trouble = str(error)

    def _write(self, line: Line) -> None:
        when = time.localtime(line.at)
        dated = f"{time.strftime('%Y-%m-%d %H:%M:%S', when)} {line.text}\n"
        missed = self._log(dated, when)
        if self._stream:
            shown = dated if line.stamped else f"{line.text}\n"
            self._stream.write(f"{shown}Lines are not logged: {missed}\n" if missed else shown)
            self._stream.flush()

    def _log(self, dated: str, when: time.struct_time) -> str:
        """Write a line to the file of its hour; return why not where that is news."""
        if not self._directory:
            return ""
        try:
            file = log_file(self._directory, when)
            file.parent.mkdir(parents=True, exist_ok=True)
            with file.open("a", encoding="utf-8") as log:
                log.write(dated)
        except OSError as error:
            known, self.trouble = self.trouble, str(error)
            return "" if known == self.trouble else self.trouble
        self.trouble = ""
        return ""


class Spoken:
    """A stream for the logging module: what is logged is said, and holds nobody up either."""

    def __init__(self, *says: Callable[[str], None]) -> None:
        self._says = says

    def write(self, text: str) -> None:
        if line := text.strip():
            for say in self._says:
                say(line)


def log_file(directory: Path, when: time.struct_time) -> Path:
    """Return the file of an hour, named as the original PyFilter does."""
    return directory / time.strftime("%Y-%b/%Y-%m-%d/%Y-%m-%d %H.log", when)
