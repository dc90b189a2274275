# What is counted of every subject, bounded: the oldest are dropped first, those near a limit last.
from collections.abc import Callable
from itertools import islice
from weakref import WeakSet

from pyfilter.detection.marks import ECHO, PORT, WEIGHT, total, weight_of

Marks = tuple[int, ...]
Row = tuple[int, ...]
# A subject's one mark, or a row of mark, port, mark, port … oldest first: a port stands there once
# more because `port in row` is the quickest way to ask for a connection.
Held = int | Row

SUBJECT = 160  # bytes that a subject with one mark takes, dict and text included
MARK = 190  # bytes that each further mark takes, with its row and port
PARTS = 16  # dicts for one: that of a million takes 50 ms to grow, in which nobody is banned
STEP = 4096  # subjects dropped in one go for want of room: some 10 ms when none is at hand
EVENTS = 3000  # events that all detectors together may remember in one generation,
FEWEST = 250  # and how many each may, however many there are
SWEPT = STEP  # subjects looked at in one sweep
_MOST = 2 * (SUBJECT + MARK)  # bytes that one event takes, with what is counted of its site


def join_usual(row: Row, mark: int, port: int) -> Row:
    """Return a row joined by a mark of weight 1 that is neither late nor early enough to end marks.

    It must not be an echo of a port in the row: that adds nothing. Empty when it takes a closer
    look, because one of the row's connections may be known by its pid alone.
    """
    if port and port in row:
        where = row.index(port)
        if row[where - 1] & ECHO:
            if 0 in row or port in row[where + 1 :] or (row[where - 1] ^ mark) & WEIGHT:
                return ()
            return (*row[: where - 1], *row[where + 1 :], mark, port)
    if port and 0 in row:
        return ()
    return (*row, mark, port)


class Table:
    """Marks of subjects: `counts` of all, `close` of those that proved near their limit."""

    def __init__(self, limit: int, live: Callable[[Marks, int], Marks]) -> None:
        self.limit = limit  # thousandths
        self.live = live  # which of some marks still count at a stamp
        self.counts: tuple[dict[str, Held], ...] = tuple([{} for _ in range(PARTS)])  # by hash
        self.close: dict[str, Held] = {}
        self.newest = 0  # stamp of the newest event
        self._further = 0  # marks beyond the first of each subject
        self._shed = 0  # the part that sheds next

    def __len__(self) -> int:
        return sum(map(len, self.counts)) + len(self.close)

    def part(self, subject: str) -> dict[str, Held]:
        """Return the one of `counts` for a subject."""
        return self.counts[hash(subject) & PARTS - 1]

    def size(self) -> int:
        """Return about how many bytes are held."""
        return len(self) * SUBJECT + self._further * MARK

    def marks(self, subject: str) -> Marks:
        """Return the marks of a subject, oldest first."""
        return _marks(self.part(subject).get(subject) or self.close.get(subject) or ())

    def keep(self, subject: str, marks: Marks) -> None:
        """Hold these marks of a subject, in the place of those held before."""
        home = self.close if subject in self.close else self.part(subject)
        self._take(home, subject)
        self._put(home, subject, marks[0] if len(marks) == 1 else _row(marks))

    def grown(self, further: int) -> None:
        """Take note of marks that were added to subjects of `counts` directly."""
        self._further += further

    def drop(self, subject: str) -> None:
        for home in (self.part(subject), self.close):
            self._take(home, subject)

    def shed(self) -> None:
        """Drop some of the oldest subjects, but keep those apart that are at half their limit."""
        if 2 * len(self.close) > len(self):
            for subject in list(islice(self.close, STEP)):
                self._take(self.close, subject)
            return
        self._shed = (self._shed + 1) % PARTS
        home = self.counts[self._shed]
        for subject in list(islice(home, min(STEP, 1 + len(home) // PARTS))):
            held = self._take(home, subject)
            if self._is_close(held):
                self._put(self.close, subject, held)

    def _is_close(self, held: Held) -> bool:
        if isinstance(held, int):
            return 2 * weight_of(held) >= self.limit
        return 2 * total(self.live(_marks(held), self.newest)) >= self.limit

    def sweep(self, before: int) -> None:
        """Drop subjects whose marks are all older than a stamp; a bounded piece of work a call."""
        for home in filter(None, (*self.counts, self.close)):
            for subject in list(islice(home, SWEPT if home is self.close else SWEPT // PARTS)):
                held = home[subject]
                if _marks(held)[-1] < before:
                    self._take(home, subject)
                elif isinstance(held, int):
                    break  # those behind it came later
                else:
                    self._put(home, subject, self._take(home, subject))
            if not home:
                home.clear()  # gives the memory of the emptied dict back

    def _take(self, home: dict[str, Held], subject: str) -> Held:
        held = home.pop(subject, ())
        self._further -= _further(held)
        return held

    def _put(self, home: dict[str, Held], subject: str, held: Held) -> None:
        home[subject] = held
        self._further += _further(held)


def _marks(held: Held) -> Marks:
    return (held,) if isinstance(held, int) else held[::2]


def _row(marks: Marks) -> Held:
    return tuple([part for mark in marks for part in (mark, mark & PORT)])


def _further(held: Held) -> int:
    return 0 if isinstance(held, int) else max(0, len(held) // 2 - 1)


class Room:
    """The memory that detectors share: when it is full, the largest table sheds."""

    def __init__(self, subjects: int = 1_000_000) -> None:
        self.bytes = subjects * SUBJECT
        self.tables: WeakSet[Table] = WeakSet()  # a detector that is given up frees its own
        self._left = 0  # bytes that are free for sure

    def share(self) -> int:
        """Return how many events one detector may remember in a generation."""
        return max(FEWEST, EVENTS // max(1, len(self.tables)))

    def tidy(self, events: int) -> None:
        """Make sure that all tables together fit, after so many events were counted."""
        self._left -= events * _MOST
        if self._left >= 0:
            return
        while (held := sum([table.size() for table in self.tables])) > self.bytes:
            max(self.tables, key=Table.size).shed()
        self._left = self.bytes - held
