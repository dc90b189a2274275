# One open log file, read on from where it was read to: bytes -> Piece of whole lines.
import os
from time import time_ns

from msgspec import Struct

from pyfilter.sources.lines import BLOCK, MAX_LINE, without_overlong
from pyfilter.sources.marks import HEAD, LAST, Mark, digest, fits


class Piece(Struct, frozen=True, gc=False):
    """What one reading gave."""

    data: bytes  # whole lines
    live: bool
    again: bool
    more: bool  # there may be more to read at once
    dropped: int = 0  # overlong lines left out


def open_log(path: str) -> int:
    """Open for reading without side effects on anything odd. Raises OSError."""
    return os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)


class Tail:
    """One open file and how far it has been read."""

    def __init__(self, path: str, fd: int, real: str, name: str = "") -> None:
        status = os.fstat(fd)
        self.path = path  # as configured,
        self.real = real  # and where that led to; the file itself may be
        self.name = name or real  # a rotated one
        self.fd = fd
        self.key = (status.st_dev, status.st_ino)
        self.offset = 0  # of the first line not yet taken
        self.until = 0  # what lies before was written before we watched
        self.seen = 0  # what lies before was taken in an earlier life
        self.watch = -1
        self.closing: float | None = None  # rotated away: given up when quiet until then
        self.quiet = 30.0  # seconds without a line after which it is given up
        self.taken_at = time_ns()  # nanoseconds since the epoch, by the clock that dates files
        self._size = 0
        self._seen_mark: Mark | None = None
        self._head = self._last = b""
        self._skipping = self._hole = False

    def place(self, offset: int, *, skipping: bool = False) -> None:
        """Go on from an offset, which begins a line unless `skipping`."""
        self.offset = offset
        self._head = os.pread(self.fd, min(HEAD, offset), 0)
        back = min(LAST, offset)
        self._last = os.pread(self.fd, back, offset - back)
        self._skipping = skipping

    def resume(self, mark: Mark) -> None:
        """Mark as read before what lies before the mark."""
        self.seen, self._seen_mark = mark.offset, mark

    def take(self, portion: int = BLOCK) -> Piece | None:
        """Return the next lines, of `portion` bytes or the one that is longer.

        None when the file was truncated or rewritten under us.
        """
        again = self.offset < self.seen
        if self.unpassed is not None and not fits(self.unpassed, self.fd):
            return None
        old = again or self.offset < self.until
        edge = (self.seen if again else self.until) if old else self.offset + BLOCK
        limit = min(portion, edge - self.offset)
        chunk = self._read(limit)
        if chunk is not None and len(chunk) >= limit and b"\n" not in chunk:
            chunk = self._read(limit := min(BLOCK, edge - self.offset))
        if chunk is None:
            return None
        more = len(chunk) >= limit
        end = chunk.rfind(b"\n") + 1
        if end:
            return self._cut(chunk[:end], live=not old, again=again, more=more)
        if self._skipping or len(chunk) > MAX_LINE:
            dropped = int(not self._skipping)
            self._skipping = True
            self._advance(chunk)
            return Piece(b"", not old, again, more, dropped)
        if old and self.offset + len(chunk) >= edge:  # the unfinished line will be finished live
            self.seen = min(self.seen, self.offset)
            self.until = self.until if again else self.offset
            return Piece(b"", live=False, again=again, more=True)
        return Piece(b"", not old, again, more=False)

    def restart(self) -> None:
        """Begin anew, past the hole that a writer without O_APPEND leaves after truncation."""
        try:
            start = os.lseek(self.fd, 0, os.SEEK_DATA)
        except OSError:  # nothing but a hole, or nothing at all
            start = 0
        self.until = self.seen = 0
        self._seen_mark = None
        self.place(start)
        self._hole = True

    @property
    def unpassed(self) -> Mark | None:
        """Return the mark of an earlier life that is still ahead."""
        return self._seen_mark if self.offset < self.seen else None

    def mark(self) -> Mark:
        if self.unpassed is not None:
            return self.unpassed
        dev, ino = self.key
        return Mark(
            path=self.path,
            dev=dev,
            ino=ino,
            offset=self.offset,
            head=len(self._head),
            head_digest=digest(self._head),
            last_digest=digest(self._last),
            skipping=self._skipping,
            at=self.taken_at,
        )

    def same_as(self, fd: int) -> bool:
        """Say whether another file holds what this one held, up to where it was read."""
        back = len(self._last)
        return (
            os.pread(fd, len(self._head), 0) == self._head
            and os.pread(fd, back, self.offset - back) == self._last
        )

    def same_head(self, fd: int) -> bool:
        """Say whether another file begins as this one began."""
        return len(self._head) == HEAD and os.pread(fd, HEAD, 0) == self._head

    def grown(self) -> bool:
        """Say whether there are bytes that no `take` has looked at."""
        return os.fstat(self.fd).st_size != self._size

    def lag(self) -> int:
        """Return the bytes written and not yet taken."""
        return max(0, os.fstat(self.fd).st_size - self.offset)

    def close(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def _read(self, limit: int) -> bytes | None:
        size = os.fstat(self.fd).st_size
        now = time_ns()
        self._size = min(size, self.offset + limit)
        back = len(self._last)
        count = max(0, min(limit, size - self.offset))
        raw = os.pread(self.fd, back + count, self.offset - back)
        if (
            size < self.offset
            or not raw.startswith(self._last)
            or os.pread(self.fd, len(self._head), 0) != self._head
        ):
            return None
        self.taken_at = now
        chunk = raw[back:]
        if self._hole and chunk:
            kept = chunk.lstrip(b"\0")
            self._advance(chunk[: len(chunk) - len(kept)])
            self._hole = not kept
            return kept
        return chunk

    def _cut(self, chunk: bytes, *, live: bool, again: bool, more: bool) -> Piece:
        self._advance(chunk)
        data = chunk
        if self._skipping:
            data = chunk[chunk.index(b"\n") + 1 :]
            self._skipping = False
        data, dropped = without_overlong(data)
        return Piece(data, live, again, more, dropped)

    def _advance(self, chunk: bytes) -> None:
        if len(self._head) < HEAD and self.offset == len(self._head):
            self._head += chunk[: HEAD - len(self._head)]
        self._last = (self._last + chunk[-LAST:])[-LAST:]
        self.offset += len(chunk)
