# Lines that left a log before they were read: rotated or copied away between two looks.
import os
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from pyfilter.sources.marks import fits as matches
from pyfilter.sources.paths import rotations
from pyfilter.sources.tail import Tail, open_log

_EDITED: Final = 4096  # bytes; a smaller file that begins like the one before is a new one
_TICK: Final = 20_000_000  # nanoseconds: files are dated by the kernel's last tick


def unseen(
    path: str, real: str, moved: dict[str, str] | None, since: int, known: Callable[[Tail], bool]
) -> list[Tail]:
    """Open what bore the log's name, and was rotated away, all between two looks.

    `moved` tells where files were moved to and from, None when nobody knows; `since` is when the
    last look was, in nanoseconds since the epoch.
    """

    def fits(other: Tail) -> bool:
        if moved is None:
            bore = os.fstat(other.fd).st_mtime_ns >= since - _TICK
        else:
            bore = moved.get(other.name) == real
        return bore and not known(other)

    return _rotated(path, real, fits) if moved is None or real in moved.values() else []


def copies(tail: Tail, known: Callable[[Tail], bool]) -> list[Tail]:
    """Open the copies that were made of a file before it was truncated, if they hold more."""

    def fits(copy: Tail) -> bool:
        status = os.fstat(copy.fd)
        made_since = status.st_mtime_ns >= tail.taken_at - _TICK
        if not made_since or known(copy):
            return False
        head = os.pread(copy.fd, 256, 0)
        return bool(head) and os.pread(tail.fd, len(head), 0) != head

    found, mark = _rotated(tail.path, tail.real, fits), tail.unpassed
    if not tail.offset and mark is None:
        return found
    while found and not (matches(mark, found[0].fd) if mark else tail.same_as(found[0].fd)):
        found.pop(0).close()
    if found:  # the first goes on where we were, any others were made by further truncations
        found[0].place(tail.offset)
        found[0].until = tail.until
        if mark:
            found[0].resume(mark)
    return found


def after_edit(before: Tail, tail: Tail) -> int:
    """Return where to go on in a file that took the place of another: an editor wrote it anew."""
    if before.offset < _EDITED or not before.same_head(tail.fd):
        return 0
    if before.same_as(tail.fd):
        return before.offset
    size = os.fstat(tail.fd).st_size
    return size if size >= before.offset * 0.9 else 0


def _rotated(path: str, real: str, fits: Callable[[Tail], bool]) -> list[Tail]:
    found = []
    for name in rotations(real):
        with suppress(OSError):
            other = Tail(path, open_log(name), real, name)
            if fits(other):
                found.append(other)
            else:
                other.close()
    return found
