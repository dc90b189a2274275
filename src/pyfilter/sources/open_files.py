# Which files are open and why: those that bear a configured name, and rotated ones not yet done.
import os
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from time import monotonic, time_ns
from typing import Final

from pyfilter.interfaces import Stamp
from pyfilter.sources.catchup import open_past
from pyfilter.sources.lost import after_edit, copies, unseen
from pyfilter.sources.marks import Mark, fits
from pyfilter.sources.paths import Found, look
from pyfilter.sources.tail import Tail, open_log
from pyfilter.sources.watch import Changes, Watch

_RETRY: Final = 30.0  # seconds between looks at what could not be opened
_REMEMBERED: Final = 16  # rotated files of which is remembered that they were read
_QUIET: Final = 30.0  # a rotated file is given up after so long without a line
_QUIET_CLOSED: Final = 3.0  # or so long after its writer let go of it

_Key = tuple[int, int]


class OpenFiles:
    """Keeps one Tail for each file that has a configured name or still gets the last lines."""

    def __init__(self, paths: tuple[str, ...], stamp: Stamp) -> None:
        self._paths = paths
        self._stamp = stamp
        self._watch: Watch | None = None
        self._current: dict[_Key, Tail] = {}
        self._closing: list[Tail] = []
        self._numbers: dict[int, Tail] = {}
        self._marks: tuple[Mark, ...] = ()  # of an earlier life, of files not yet seen in this one
        self._done: deque[Mark] = deque(maxlen=_REMEMBERED)  # of files read to their end
        self._since = 0.0
        self._looked = 0  # nanoseconds since the epoch, by the clock that dates files
        self._late: set[str] = set()  # there from the start, but could not be opened
        self._refused: dict[str, str] = {}
        self._missing: dict[str, str] = {}

    def begin(self, watch: Watch, marks: tuple[Mark, ...], since: float) -> list[Tail]:
        """Open what is there; return it in the order in which it is to be read."""
        self._watch, self._marks, self._since = watch, marks, since
        found = self._scan()
        names = {mark.path: mark.path for mark in marks if mark.path not in found.refused}
        paths = names | found.missing | found.files
        return [tail for path, real in paths.items() for tail in self._open_past(path, real)]

    def follow(self, changes: Changes) -> list[Tail]:
        """Follow changes; return the files to read now, rotated ones first."""
        for number in changes.written:
            if tail := self._numbers.get(number):
                tail.quiet = _QUIET_CLOSED if number in changes.closed else _QUIET
                tail.closing = tail.closing and monotonic() + tail.quiet
        if changes.everything and self._watch is not None:
            self._watch.retry()
        fresh = self._rescan(changes) if changes.names or changes.everything else []
        self._give_up()
        if changes.everything:
            self._watch_all()
            return [*self._closing, *self._current.values()]
        written = [self._numbers[n] for n in changes.written if n in self._numbers]
        return sorted([*fresh, *written], key=lambda tail: tail.closing is None)

    def missed(self, tail: Tail) -> list[Tail]:
        """Return what was written to a file, copied and truncated before anything was taken."""
        if tail.offset or tail.name != tail.real:
            return []
        return self._adopt(copies(tail, self._known_or_copied))

    def rewritten(self, tail: Tail) -> list[Tail]:
        """Begin a truncated file anew; return what still holds the lines that it lost."""
        found = self._adopt(copies(tail, self._known))
        tail.restart()
        return found

    def failed(self, tail: Tail, error: OSError) -> None:
        """Let go of a file that cannot be read any more; it is tried again later."""
        self._marks += (tail.mark(),)
        self._refused[tail.path] = error.strerror or str(error)
        self._close(tail)

    def marks(self) -> Iterator[Mark]:
        yield from self._done
        yield from self._marks
        for tail in (*self._closing, *self._current.values()):
            yield tail.mark()

    def patience(self) -> float | None:
        """Return the seconds until something must be looked at though nothing changes."""
        now = monotonic()
        waits = [max(0.0, (tail.closing or now) - now) for tail in self._closing]
        if self._refused:
            waits.append(_RETRY)
        return min(waits, default=None)

    def state(self) -> tuple[str, str]:
        """Return the state and what there is to say about it."""
        words = [f"{path}: {reason}" for path, reason in sorted(self._refused.items())]
        words += [f"waiting for {path}" for path in self._missing]
        if self._refused or self._current:
            return "denied" if self._refused else "ok", "; ".join(words)
        return "waiting", "; ".join(words) or f"waiting for {' '.join(self._paths)}"

    def lag(self) -> int:
        """Return the bytes written and not yet taken."""
        return sum(tail.lag() for tail in (*self._closing, *self._current.values()))

    def close(self) -> None:
        """Close every file; `marks` goes on telling how far they were read."""
        marks = tuple(self.marks())
        for tail in [*self._closing, *self._current.values()]:
            self._close(tail)
        self._done.clear()
        self._marks = marks

    def _scan(self) -> Found:
        self._looked = time_ns()
        found = look(self._paths)
        for _ in range(10):  # what came between the look and the watch is seen by the next look
            if self._watch is None or not self._watch.folders(found.folders):
                break
            found = look(self._paths)
        self._refused, self._missing = dict(found.refused), found.missing
        self._late |= found.refused.keys()
        return found

    def _rescan(self, changes: Changes) -> list[Tail]:
        since, moved = self._looked, None if changes.blind else changes.moved
        found = self._scan()
        wanted: dict[_Key, tuple[str, str]] = {}
        for path, real in found.files.items():
            with suppress(OSError):
                status = os.lstat(real)
                wanted.setdefault((status.st_dev, status.st_ino), (path, real))
        fresh = self._retire(wanted)
        places = found.missing | found.files
        for path, real in places.items():
            known = self._known_or_copied if moved is None else self._known
            fresh += self._adopt(unseen(path, real, moved, since, known))
        for key, (path, real) in wanted.items():
            if key in self._current:
                self._current[key].path, self._current[key].real = path, real
            else:
                fresh += self._open_new(path, real, since)
        return fresh

    def _retire(self, wanted: dict[_Key, tuple[str, str]]) -> list[Tail]:
        """Let files go that lost their name, and take those back that have one again."""
        retired = [tail for key, tail in self._current.items() if key not in wanted]
        for tail in retired:
            del self._current[tail.key]
            tail.closing = monotonic() + tail.quiet
        for tail in [tail for tail in self._closing if tail.key in wanted]:
            self._closing.remove(tail)
            tail.closing = None
            self._current[tail.key] = tail
        self._closing += retired
        return retired

    def _open_new(self, path: str, real: str, since: int) -> list[Tail]:
        if path in self._late or any(mark.path == path for mark in self._marks):
            return self._open_past(path, real)
        try:
            tail = Tail(path, open_log(real), real)
        except OSError as error:
            self._refuse(path, error)
            return []
        before = next((old for old in reversed(self._closing) if old.path == path), None)
        for mark in self._done:
            if mark.ino == tail.key[1] and fits(mark, tail.fd):  # a link swung back to it
                tail.place(mark.offset, skipping=mark.skipping)
        if before and not tail.offset:
            tail.place(after_edit(before, tail))
        tail.taken_at = since
        return self._adopt([tail])

    def _known(self, tail: Tail) -> bool:
        return (
            tail.key in self._current
            or any(tail.key == old.key for old in self._closing)
            or any(mark.ino == tail.key[1] and fits(mark, tail.fd) for mark in self._done)
        )

    def _known_or_copied(self, tail: Tail) -> bool:
        read = (*self._closing, *self._current.values())
        return self._known(tail) or any(
            old.path == tail.path and old.offset and old.same_as(tail.fd) for old in read
        )

    def _open_past(self, path: str, real: str) -> list[Tail]:
        marks = tuple(mark for mark in self._marks if mark.path == path)
        try:
            tails, done = open_past(path, real, marks, self._since, self._stamp)
        except OSError as error:
            self._refuse(path, error)
            return []
        self._late.discard(path)
        if any(tail.real == real for tail in tails):
            self._marks = tuple(mark for mark in self._marks if mark.path != path)
            here = {tail.key[1] for tail in tails} | {mark.ino for mark in done}
            self._done.extend(mark for mark in marks if mark.offset and mark.ino not in here)
        self._done.extend(done)
        return self._adopt(tails)

    def _refuse(self, path: str, error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):
            self._refused[path] = error.strerror or str(error)
            self._late.add(path)

    def _adopt(self, tails: list[Tail]) -> list[Tail]:
        for tail in [tail for tail in tails if self._known(tail)]:
            tails.remove(tail)
            tail.close()
        for tail in tails:
            if tail.real == tail.name:
                self._current[tail.key] = tail
            else:
                tail.closing = monotonic() + _QUIET
                self._closing.append(tail)
        self._watch_all()
        return tails

    def _watch_all(self) -> None:
        for tail in (*self._closing, *self._current.values()):
            if tail.watch < 0 and self._watch is not None:
                tail.watch = self._watch.file(tail.path, tail.fd)
                self._numbers[tail.watch] = tail

    def _give_up(self) -> None:
        now = monotonic()
        for tail in [tail for tail in self._closing if (tail.closing or now) <= now]:
            if tail.grown():
                tail.closing = now
                continue
            if tail.offset and os.fstat(tail.fd).st_nlink:
                self._done.append(tail.mark())
            self._close(tail)

    def _close(self, tail: Tail) -> None:
        self._current.pop(tail.key, None)
        if tail in self._closing:
            self._closing.remove(tail)
        self._numbers.pop(tail.watch, None)
        if self._watch is not None:
            self._watch.forget(tail.watch)
        tail.close()
