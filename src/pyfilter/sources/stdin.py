# Standard input -> Block, for pipes such as `tail -F … | pyfilter run`; it cannot be resumed.
import asyncio
import os
from collections.abc import AsyncGenerator

from msgspec import Struct

from pyfilter.errors import SourceError
from pyfilter.interfaces import Clock, Source, Stamp
from pyfilter.model import Block, Position, SourceState
from pyfilter.sources.lines import Cutter, without_overlong
from pyfilter.sources.pace import Pace


class Stdin(Struct, frozen=True, tag="stdin", tag_field="type", forbid_unknown_fields=True):
    """Standard input, or another descriptor that is open already."""

    descriptor: int = 0

    def open(self, stamp: Stamp, clock: Clock) -> Source:  # noqa: ARG002  every source is opened alike
        return StdinSource(self.descriptor, clock)


class StdinSource:
    """Yields the lines of a descriptor until it ends."""

    def __init__(self, descriptor: int, clock: Clock) -> None:
        self.name = "-"
        self._fd = descriptor
        self._clock = clock
        self._ended = ""
        self._lines = self._dropped = 0
        self._last_at: float | None = None

    async def blocks(self, resume: Position | None, since: float) -> AsyncGenerator[Block, None]:  # noqa: ARG002  a stream has no past
        cutter, pace = Cutter(), Pace()
        while chunk := await self._chunk(pace.portion):
            pace.start()
            data, dropped = without_overlong(cutter.feed(chunk))
            self._dropped += dropped
            if data:
                lines = data.count(b"\n")
                self._lines += lines
                self._last_at = self._clock()
                yield Block(self.name, data, self._last_at)
                await pace.rest(len(chunk), lines)
        self._dropped += cutter.dropped
        self._ended = "standard input has ended"

    def position(self) -> Position | None:
        return None

    def state(self) -> SourceState:
        words = [self._ended] if self._ended else []
        if self._dropped:
            words.append(f"{self._dropped} overlong lines left out")
        return SourceState(
            source=self.name,
            state="blind" if self._ended else "ok",
            detail="; ".join(words),
            lines=self._lines,
            last_line=self._last_at,
        )

    async def _chunk(self, most: int) -> bytes:
        """Return what is there, waiting for it if need be; nothing at the end."""
        try:
            return await self._read(most)
        except OSError as error:
            raise SourceError(f"standard input cannot be read: {error.strerror}") from error

    async def _read(self, most: int) -> bytes:
        loop = asyncio.get_running_loop()
        readable = asyncio.Event()
        try:
            loop.add_reader(self._fd, readable.set)
        except PermissionError:  # a regular file is always readable
            return os.read(self._fd, most)
        try:
            await readable.wait()
        finally:
            loop.remove_reader(self._fd)
        return os.read(self._fd, most)
