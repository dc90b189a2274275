# What to read at start: the rest of rotated files, then the present one, from when and where.
import os
from contextlib import suppress

from pyfilter.interfaces import Stamp
from pyfilter.sources.marks import Mark, fits
from pyfilter.sources.paths import rotations
from pyfilter.sources.search import find_time
from pyfilter.sources.tail import Tail, open_log

_ROTATED = 16  # rotated files looked at, the newest
_TICK = 20_000_000  # nanoseconds: files are dated by the kernel's last tick
_UNREAD = 256 << 20  # bytes that were missed and are older than anybody asked for: no more of them


def open_past(
    path: str, real: str, marks: tuple[Mark, ...], since: float, stamp: Stamp
) -> tuple[list[Tail], list[Mark]]:
    """Open a log and its rotated forms as far as they hold something to read, the oldest first.

    To be read is what was written since `since`, and what is behind the marks. The marks that
    are returned are of the files that hold nothing to read. Raises OSError when the log itself
    is there and cannot be opened.
    """
    tails = _open_all(path, real)
    current = tails[-1] if tails and tails[-1].name == real else None
    marked = _match(tails, marks)
    read_at = max((mark.at for mark in marks), default=0)
    last = max((tails.index(tail) for tail in marked), default=len(tails))
    kept, done = [], []
    for number, tail in enumerate(tails):
        later = number > last or tail is current
        unread = _unread(tail, marked.get(tail), read_at, later=later) if marks else None
        _place(tail, unread, since, stamp, marked.get(tail))
        if tail is current or tail.offset < tail.until:
            kept.append(tail)
            continue
        done.append(tail.mark())
        tail.close()
    return kept, [mark for mark in done if mark.offset]


def _unread(tail: Tail, mark: Mark | None, read_at: int, *, later: bool) -> int | None:
    """Return where lines begin that no earlier life took; None when it took them all."""
    if mark:
        tail.resume(mark)
        return mark.offset
    if later or os.fstat(tail.fd).st_mtime_ns >= read_at - _TICK:
        return 0
    tail.seen = tail.until
    return None


def _open_all(path: str, real: str) -> list[Tail]:
    tails = []
    for name in rotations(real)[-_ROTATED:]:
        with suppress(OSError):  # gone again, or not for us to read
            tails.append(_as_it_is(Tail(path, open_log(name), real, name)))
    try:
        tails.append(_as_it_is(Tail(path, open_log(real), real)))
    except FileNotFoundError:
        return tails
    except OSError:
        for tail in tails:
            tail.close()
        raise
    return tails


def _as_it_is(tail: Tail) -> Tail:
    tail.until = os.fstat(tail.fd).st_size
    return tail


def _match(tails: list[Tail], marks: tuple[Mark, ...]) -> dict[Tail, Mark]:
    """Find each mark's file: the same inode first, else a copy with the same content."""
    marked: dict[Tail, Mark] = {}
    for mark in marks:
        if not mark.offset:  # nothing was read of it: there is nothing to know it by
            continue
        same = [tail for tail in tails if tail.key[1] == mark.ino]
        copies = [tail for tail in tails if tail.key[1] != mark.ino]
        tail = next((tail for tail in same + copies if fits(mark, tail.fd)), None)
        known = marked.get(tail) if tail else None
        if tail and (known is None or known.offset < mark.offset):
            marked[tail] = mark  # of a copy and of what was copied, the one that was read further
    return marked


def _place(tail: Tail, unread: int | None, since: float, stamp: Stamp, mark: Mark | None) -> None:
    size = tail.until
    old = os.fstat(tail.fd).st_mtime < since
    wanted = size if old else find_time(tail.fd, size, since, stamp)
    if unread is None:
        tail.place(size if wanted is None else wanted)
    elif wanted is None or unread < wanted:
        behind = (size if wanted is None else wanted) - _UNREAD
        if unread >= behind:
            tail.place(unread, skipping=mark is not None and mark.skipping)
        else:
            tail.place(behind, skipping=True)
    else:
        tail.place(wanted)
