# Which files are open and why: those that bear a configured name, and rotated ones not yet done.
import os
from collections.abc import Iterator
from contextlib import suppress
from typing import Final

from pyfilter.interfaces import Clock, Stamp
from pyfilter.sources.catchup import open_log, open_past
from pyfilter.sources.marks import Mark
from pyfilter.sources.paths import Found, look, rotations
from pyfilter.sources.tail import Tail
from pyfilter.sources.watch import Changes, Watch

_RETRY: Final = 30.0  # seconds between looks at what could not be opened
_QUIET: Final = 30.0  # a rotated file is given up after so long without a line
_QUIET_CLOSED: Final = 3.0  # or so long after its writer let go of it
_EDITED: Final = 4096  # bytes; a smaller file that begins like the one before is a new one


class OpenFiles:
    """Keeps one Tail for each file that has a configured name or still gets the last lines."""

    def __init__(self, paths: tuple[str, ...], stamp: Stamp, clock: Clock) -> None:
        self._paths = paths
        self._stamp = stamp
        self._clock = clock
        self._watch: Watch | None = None
        self._current: dict[tuple[int, int], Tail] = {}
        self._closing: list[Tail] = []
        self._numbers: dict[int, Tail] = {}
        self._marks: tuple[Mark, ...] = ()  # of an earlier life, of files not yet seen in this one
        self._since = 0.0
        self._late: set[str] = set()  # there from the start, but could not be opened
        self._refused: dict[str, str] = {}
        self._missing: list[str] = []

    def begin(self, watch: Watch, marks: tuple[Mark, ...], since: float) -> list[Tail]:
        """Open what is there; return it in the order in which it is to be read."""
        self._watch, self._marks, self._since = watch, marks, since
        found = self._scan()
        names = dict.fromkeys([*found.missing, *(mark.path for mark in marks)])
        paths = {name: name for name in names if name not in found.refused} | found.files
        return [tail for path, real in paths.items() for tail in self._open_past(path, real)]

    def look(self, changes: Changes) -> list[Tail]:
        """Follow changes; return the files to read now, rotated ones first."""
        for number in changes.written:
            if tail := self._numbers.get(number):
                quiet = _QUIET_CLOSED if number in changes.closed else _QUIET
                tail.quiet = quiet
                tail.closing = tail.closing and self._clock() + quiet
        fresh = self._rescan() if changes.names or changes.everything else []
        self._give_up()
        if changes.everything:
            return [*self._closing, *self._current.values()]
        written = [self._numbers[n] for n in changes.written if n in self._numbers]
        written.sort(key=lambda tail: tail.closing is None)
        return [*written, *fresh]

    def rewritten(self, tail: Tail) -> list[Tail]:
        """Begin a truncated file anew; return what still holds the lines that it lost."""
        copies = self._copies(tail)
        tail.restart()
        return copies

    def failed(self, tail: Tail, error: OSError) -> None:
        """Let go of a file that cannot be read any more; it is tried again later."""
        self._marks += (tail.mark(),)
        self._refused[tail.path] = error.strerror or str(error)
        self._close(tail)

    def marks(self) -> Iterator[Mark]:
        yield from self._marks
        for tail in (*self._closing, *self._current.values()):
            yield tail.mark()

    def patience(self) -> float | None:
        """Return the seconds until something must be looked at though nothing changes."""
        now = self._clock()
        waits = [max(0.0, (tail.closing or now) - now) for tail in self._closing]
        if self._refused:
            waits.append(_RETRY)
        return min(waits, default=None)

    def state(self) -> tuple[str, str]:
        """Return the state and what there is to say about it."""
        words = [f"{path}: {reason}" for path, reason in sorted(self._refused.items())]
        words += [f"waiting for {path}" for path in self._missing]
        if self._refused:
            return "denied", "; ".join(words)
        if self._current:
            return "ok", "; ".join(words)
        return "waiting", "; ".join(words) or f"waiting for {' '.join(self._paths)}"

    def lag(self) -> int:
        """Return the bytes written and not yet taken."""
        return sum(tail.lag() for tail in (*self._closing, *self._current.values()))

    def close(self) -> None:
        for tail in [*self._closing, *self._current.values()]:
            self._close(tail)

    def _scan(self) -> Found:
        found = look(self._paths)
        for _ in range(10):  # what came between the look and the watch is seen by the next look
            if self._watch is None or not self._watch.folders(found.folders):
                break
            found = look(self._paths)
        self._refused, self._missing = dict(found.refused), found.missing
        self._late |= found.refused.keys()
        return found

    def _rescan(self) -> list[Tail]:
        found = self._scan()
        wanted: dict[tuple[int, int], tuple[str, str]] = {}
        for path, real in found.files.items():
            with suppress(OSError):
                status = os.lstat(real)
                wanted.setdefault((status.st_dev, status.st_ino), (path, real))
        fresh = []
        for key in self._current.keys() - wanted.keys():
            tail = self._current.pop(key)
            tail.closing = self._clock() + tail.quiet
            self._closing.append(tail)
            fresh.append(tail)
        for tail in [tail for tail in self._closing if tail.key in wanted]:
            self._closing.remove(tail)
            tail.closing = None
            self._current[tail.key] = tail
        for key, (path, real) in wanted.items():
            if key in self._current:
                self._current[key].path, self._current[key].real = path, real
            else:
                fresh += self._open_new(path, real)
        return fresh

    def _open_new(self, path: str, real: str) -> list[Tail]:
        if path in self._late or any(mark.path == path for mark in self._marks):
            return self._open_past(path, real)
        try:
            tail = Tail(path, open_log(real), real)
        except OSError as error:
            self._refuse(path, error)
            return []
        for before in self._closing:
            if before.path == path and before.offset >= _EDITED and before.same_head(tail.fd):
                size = os.fstat(tail.fd).st_size  # an editor wrote the file anew
                same = before.same_content(tail.fd)
                if same or size >= before.offset * 0.9:
                    tail.place(before.offset if same else size)
        return self._adopt([tail])

    def _open_past(self, path: str, real: str) -> list[Tail]:
        marks = tuple(mark for mark in self._marks if mark.path == path)
        try:
            tails = open_past(path, real, marks, self._since, self._stamp)
        except OSError as error:
            self._refuse(path, error)
            return []
        self._late.discard(path)
        if any(tail.real == real for tail in tails):
            self._marks = tuple(mark for mark in self._marks if mark.path != path)
        return self._adopt(tails)

    def _refuse(self, path: str, error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):
            self._refused[path] = error.strerror or str(error)
            self._late.add(path)

    def _adopt(self, tails: list[Tail]) -> list[Tail]:
        known = self._current.keys() | {tail.key for tail in self._closing}
        for tail in [tail for tail in tails if tail.key in known]:
            tails.remove(tail)
            tail.close()
        for tail in tails:
            if self._watch is not None:
                tail.watch = self._watch.file(tail.path, tail.fd)
            self._numbers[tail.watch] = tail
            if tail.real == tail.name:
                self._current[tail.key] = tail
            else:
                tail.closing = self._clock() + _QUIET
                self._closing.append(tail)
        return tails

    def _copies(self, tail: Tail) -> list[Tail]:
        for name in reversed(rotations(tail.real)):
            with suppress(OSError):
                copy = Tail(tail.path, open_log(name), tail.real, name)
                if copy.key != tail.key and copy.holds_more_than(tail):
                    return self._adopt([copy])
                copy.close()
        return []

    def _give_up(self) -> None:
        now = self._clock()
        for tail in [tail for tail in self._closing if (tail.closing or now) <= now]:
            if tail.grown():
                tail.closing = now
            else:
                self._close(tail)

    def _close(self, tail: Tail) -> None:
        self._current.pop(tail.key, None)
        if tail in self._closing:
            self._closing.remove(tail)
        self._numbers.pop(tail.watch, None)
        if self._watch is not None:
            self._watch.forget(tail.watch)
        tail.close()
