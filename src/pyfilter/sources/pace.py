# How much of a source is read at once and when it goes on, so that a flood of one holds up no other.
import asyncio
from time import monotonic, thread_time
from typing import Final

from pyfilter.sources.lines import BLOCK

TURN: Final = 0.008  # seconds of work that one block may make
FEWEST: Final = 32_768  # bytes: smaller blocks cost more than they are quicker
_FIRST: Final = 65_536  # bytes taken at once of what did not wait before
_WAY: Final = 3  # rounds of the loop: what can be read, who waits for it, and his work
_CALM: Final = 1000.0  # lines a second that are each taken as they come
_BURST: Final = 300.0  # lines that may come at once
_REST: Final = 0.01  # seconds in which lines gather when there are more


class Pace:
    """Measures what the blocks of one source cost."""

    def __init__(self) -> None:
        self.portion = _FIRST  # bytes to take at once
        self._began = 0.0
        self._lines, self._at = 0.0, monotonic()

    def start(self) -> None:
        """Take the time of the work that begins now."""
        self._began = thread_time()

    async def rest(self, size: int, lines: int) -> None:
        """Let others work after so many bytes and lines were taken and worked on."""
        waits = 2 * size > self.portion  # there may be more to take at once
        self._measure(size, waits=waits)
        if self._floods(lines) and not waits:
            await asyncio.sleep(_REST)
            return
        for _ in range(_WAY):
            await asyncio.sleep(0)

    def _measure(self, size: int, *, waits: bool) -> None:
        """Choose the next portion: what was worked on in a turn, and at most twice this one."""
        took = max(thread_time() - self._began, 1e-6)
        wanted = min(int(size * TURN / took), 2 * self.portion, BLOCK)
        self.portion = max(FEWEST, wanted) if waits else _FIRST

    def _floods(self, lines: int) -> bool:
        now = monotonic()
        left = max(0.0, self._lines - (now - self._at) * _CALM)
        self._lines, self._at = min(left + lines, 2 * _BURST), now
        return self._lines > _BURST
