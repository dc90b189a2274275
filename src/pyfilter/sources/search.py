# Where in a file a time begins, by the lines' own stamps: a 10 GB log is opened in milliseconds.
import os

from pyfilter.interfaces import Stamp
from pyfilter.sources.lines import MAX_LINE

_NEAR = 8192  # bytes; closer than this, lines are looked at one by one


def find_time(fd: int, size: int, since: float, stamp: Stamp) -> int | None:
    """Return the offset of the first line stamped `since` or later; None when stamps are unknown.

    Relies on lines being in order of time, as logs are; lines without a stamp belong to the
    stamped line before them.
    """
    first = _stamped(fd, 0, size, stamp)
    if first is None:
        return None
    low, high = 0, size  # all before low is older; at or after high nothing older is known
    while high - low > _NEAR:
        middle = _line_start(fd, (low + high) // 2, high)
        found = _stamped(fd, middle, high, stamp) if middle < high else None
        if found is None or found[2] >= since:
            high = (low + high) // 2
        else:
            low = found[1]
    return _first_since(fd, low, size, since, stamp)


def _line_start(fd: int, offset: int, end: int) -> int:
    """Return the offset behind the next newline, or `end`."""
    chunk = os.pread(fd, min(MAX_LINE, end - offset), offset)
    at = chunk.find(b"\n")
    return offset + at + 1 if at >= 0 else end


def _stamped(fd: int, offset: int, end: int, stamp: Stamp) -> tuple[int, int, float] | None:
    """Return (start, end, time) of the first stamped line within reach."""
    for window in (_NEAR, MAX_LINE):
        chunk = os.pread(fd, min(window, end - offset), offset)
        at = 0
        while (stop := chunk.find(b"\n", at)) >= 0:
            time = stamp(chunk[at:stop])
            if time is not None:
                return offset + at, offset + stop + 1, time
            at = stop + 1
    return None


def _first_since(fd: int, offset: int, size: int, since: float, stamp: Stamp) -> int:
    while offset < size:
        found = _stamped(fd, offset, size, stamp)
        if found is None:  # a line too long to keep, or nothing with a stamp any more
            offset = _line_start(fd, min(size, offset + MAX_LINE), size)
            continue
        start, stop, time = found
        if time >= since:
            return start
        offset = stop
    return size
