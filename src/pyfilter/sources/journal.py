# The systemd journal by a journalctl child -> Block; what cannot be forged is what it filters by.
import asyncio
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from itertools import groupby
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from pyfilter.interfaces import Clock, Source, Stamp
from pyfilter.model import Block, Position, SourceState
from pyfilter.sources.entries import Entry, as_line, decode_entries
from pyfilter.sources.journalctl import Child, journal_trouble, match_arguments
from pyfilter.sources.lines import Cutter
from pyfilter.sources.pace import Pace

_BACK_OFF: Final = (0.1, 30.0)  # seconds between starts of the child: the first, the longest
_MAX_ENTRY: Final = 1 << 20  # bytes of JSON
_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


class Journal(Struct, frozen=True, tag="journal", tag_field="type", forbid_unknown_fields=True):
    """Entries of the journal that fit any of the matches.

    A match is one or more `_FIELD=VALUE` that must all hold, on fields that journald itself
    sets. `_UID=0` is added where a match names no `_UID`; `_UID=*` allows every user.
    """

    matches: tuple[str, ...]
    directory: str = ""  # of journal files, instead of this machine's own journal

    def open(self, stamp: Stamp, clock: Clock) -> Source:  # noqa: ARG002  entries tell their time
        return JournalSource(self, clock)


class _Place(Struct, frozen=True, array_like=True):
    cursor: str
    time: int  # microseconds since the epoch


class JournalSource:
    """Follows the journal by a child that is started again where it ended."""

    def __init__(self, settings: Journal, clock: Clock, name: str = "") -> None:
        self.name = name or f"journal {' + '.join(settings.matches)}".strip()
        self._directory = settings.directory
        self._matches = match_arguments(settings.matches)
        self._clock = clock
        self._taken: _Place | None = None  # the last entry taken
        self._after: _Place | None = None  # where the child goes on behind
        self._seen: _Place | None = None  # where an earlier life had come to
        self._state, self._detail = "waiting", ""
        self._lines = self._dropped = 0
        self._last_at: float | None = None
        self._began = (0, 0, "")

    async def blocks(self, resume: Position | None, since: float) -> AsyncGenerator[Block, None]:
        boot = _BOOT_ID.read_text().strip().replace("-", "") if _BOOT_ID.exists() else ""
        self._began = (time.time_ns() // 1000, time.monotonic_ns() // 1000, boot)
        self._taken = self._seen = place = _decode(resume)
        self._after = place if place and place.time < since * 1e6 else None
        pause = _BACK_OFF[0]
        while True:
            count = self._lines
            async with aclosing(self._follow(since)) as following:
                async for block in following:
                    yield block
            pause = _BACK_OFF[0] if self._lines > count else min(pause * 2, _BACK_OFF[1])
            await asyncio.sleep(pause)

    def position(self) -> Position | None:
        if self._taken is None:
            return None
        return Position(self.name, msgspec.json.encode(self._taken).decode())

    def state(self) -> SourceState:
        words = [self._detail] if self._detail else []
        if self._dropped:
            words.append(f"{self._dropped} overlong entries left out")
        return SourceState(
            source=self.name,
            state=self._state,
            detail="; ".join(words),
            lines=self._lines,
            last_line=self._last_at,
        )

    async def _follow(self, since: float) -> AsyncGenerator[Block, None]:
        """Run the child once, until it ends."""
        after = self._after
        if trouble := journal_trouble(self._directory):
            self._explain(trouble)
            return
        where = f"--cursor={after.cursor}" if after else f"--since=@{self._since(since):.6f}"
        try:
            child = await Child.start([where, *self._matches], self._directory)
        except OSError as error:
            self._explain(f"journalctl cannot be started: {error.strerror}")
            return
        cutter, pace = Cutter(_MAX_ENTRY), Pace()
        self._state, self._detail = "ok", ""
        try:
            async for chunk in child.chunks(lambda: pace.portion):
                pace.start()
                entries = decode_entries(cutter.feed(chunk))
                if after and entries:  # the cursor's own entry was taken, if it is still there
                    entries = entries[entries[0].cursor == after.cursor :]
                    after = None
                for block in self._blocks(entries):
                    yield block
                await pace.rest(len(chunk), len(entries))
        finally:
            self._dropped += cutter.dropped
            trouble = await child.stop()
            self._explain(trouble or "journalctl ended; it is started again")
            if "cursor" in trouble:
                self._after = None

    def _since(self, since: float) -> float:
        """Return seconds since the epoch to start from when there is no cursor to go by."""
        return min(max(since, 0), self._taken.time / 1e6) if self._taken else max(since, 0)

    def _explain(self, trouble: str) -> None:
        self._detail = trouble
        self._state = "denied" if "may not" in trouble or "ermission" in trouble else "waiting"

    def _blocks(self, entries: list[Entry]) -> Iterator[Block]:
        """Make blocks of entries that are all live or not, all read before or not."""
        now = self._clock()
        for (live, again), group in groupby(entries, key=self._kind):
            same = list(group)
            lines = [as_line(entry) for entry in same]
            self._dropped += lines.count(b"")
            last = same[-1]
            if not (again and self._taken and last.time < self._taken.time):
                self._taken = _Place(last.cursor, last.time)
            self._after = _Place(last.cursor, last.time)
            if data := b"".join(lines):
                self._lines += len(lines)
                self._last_at = now if live else last.time / 1e6
                yield Block(self.name, data, now, live, again)

    def _kind(self, entry: Entry) -> tuple[bool, bool]:
        real, monotonic, boot = self._began
        # The monotonic clock tells what is new even when the wall clock is stepped.
        same_boot = entry.boot == boot
        live = int(entry.monotonic) > monotonic if same_boot else entry.time > real
        return live, self._read_before(entry)

    def _read_before(self, entry: Entry) -> bool:
        seen = self._seen
        if seen is None:
            return False
        if entry.cursor == seen.cursor or entry.time > seen.time:
            self._seen = None
        return entry.time <= seen.time


def _decode(resume: Position | None) -> _Place | None:
    try:
        return msgspec.json.decode(resume.token, type=_Place) if resume else None
    except msgspec.MsgspecError:
        return None
