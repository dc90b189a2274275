# The last happenings, numbered, for whoever follows them; bounded, never waits for a reader.
import asyncio
from collections import deque
from collections.abc import Iterable
from itertools import islice

from pyfilter.model import Ban, Event, Release

Item = Event | Ban | Release


class Ring:
    """Keeps the newest events and decisions; the first ever has number 1."""

    def __init__(self, size: int = 4096) -> None:
        self._items: deque[Item] = deque(maxlen=size)
        self._waiting: list[asyncio.Future[None]] = []
        self.latest = 0

    def add(self, items: Iterable[Item]) -> None:
        """Keep items and wake who waits; call it in the event loop's thread."""
        new = list(items)
        if not new:
            return
        self.latest += len(new)
        self._items.extend(new)
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            if not future.done():
                future.set_result(None)

    def after(self, number: int, most: int = 500) -> list[tuple[int, Item]]:
        """Return the kept items numbered above `number`, oldest first."""
        first = self.latest - len(self._items) + 1
        if number >= self.latest:
            return []
        skip = max(0, number + 1 - first)
        found = islice(self._items, skip, skip + most)
        return list(enumerate(found, first + skip))

    async def wait(self, number: int) -> None:
        """Return once there is an item numbered above `number`."""
        while self.latest <= number:
            future = asyncio.get_running_loop().create_future()
            self._waiting.append(future)
            await future
