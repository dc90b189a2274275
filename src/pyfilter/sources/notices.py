# What the kernel says of watched files, read as soon as it says so: the way from a line to its ban
# begins here.
import asyncio
import os
from struct import Struct
from typing import Final

_ROOM: Final = 65_536  # bytes read at once: hundreds of notices
_LONGEST: Final = 272  # bytes of one
_HEADER: Final = Struct("=iIII")  # struct inotify_event (inotify(7))

Notice = tuple[int, int, int, bytes]  # watch number, what happened, cookie, name in a folder


def taken(fd: int) -> list[Notice]:
    """Return the notices that wait at an inotify descriptor."""
    found: list[Notice] = []
    while True:
        try:
            data = os.read(fd, _ROOM)
        except BlockingIOError:
            return found
        place = 0
        while place < len(data):
            number, what, cookie, length = _HEADER.unpack_from(data, place)
            place += _HEADER.size + length
            name = data[place - length : place].rstrip(b"\0") if length else b""
            found.append((number, what, cookie, name))
        if len(data) < _ROOM - _LONGEST:
            return found


class Notices:
    """Waits for notices; they are taken the moment that they come while somebody waits."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._waiting: asyncio.Future[list[Notice]] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def next(self, patience: float | None) -> list[Notice]:
        """Return what comes, none when nothing does for so many seconds."""
        loop = asyncio.get_running_loop()
        self._waiting = loop.create_future()
        if self._loop is None:
            self._loop = loop
            loop.add_reader(self.fd, self._come)
        late = None if patience is None else loop.call_later(patience, self._settle, [])
        try:
            return await self._waiting
        finally:
            self._waiting = None
            if late:
                late.cancel()

    def _come(self) -> None:
        if self._waiting is None or self._waiting.done():
            self.rest()  # what comes while nobody waits stays where it is
        else:
            self._settle(taken(self.fd))

    def _settle(self, notices: list[Notice]) -> None:
        if self._waiting and not self._waiting.done():
            self._waiting.set_result(notices)

    def rest(self) -> None:
        """Listen no more until somebody waits again."""
        if self._loop is not None:
            self._loop.remove_reader(self.fd)
            self._loop = None
