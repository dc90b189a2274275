# What is counted of every subject, bounded: the oldest are dropped first, those near a limit last.
from collections.abc import Callable
from itertools import islice

from pyfilter.detection.marks import total

Marks = tuple[int, ...]
Held = dict[str, int | Marks]  # the usual single mark goes without a tuple

SUBJECT = 176  # bytes that a subject with one mark takes, dict and text included
MARK = 90  # bytes that each further mark takes
STEP = 16_384  # subjects looked at in one go: a few milliseconds


class Table:
    """Marks of subjects: `counts` of all, `close` of those that proved near their limit."""

    def __init__(self, limit: int, live: Callable[[Marks, int], Marks]) -> None:
        self.limit = limit  # thousandths
        self.live = live  # which of some marks still count at a stamp
        self.counts: Held = {}
        self.close: Held = {}
        self.newest = 0  # stamp of the newest event
        self._further = 0  # marks beyond the first of each subject

    def __len__(self) -> int:
        return len(self.counts) + len(self.close)

    def size(self) -> int:
        """Return about how many bytes are held."""
        return len(self) * SUBJECT + self._further * MARK

    def marks(self, subject: str) -> Marks:
        """Return the marks of a subject, oldest first."""
        held = self.counts.get(subject) or self.close.get(subject) or ()
        return (held,) if isinstance(held, int) else held

    def keep(self, subject: str, marks: Marks) -> None:
        """Hold these marks of a subject, in the place of those held before."""
        home = self.close if subject in self.close else self.counts
        held = home.get(subject, 0)
        self._further += len(marks) - (1 if isinstance(held, int) else len(held))
        home[subject] = marks

    def drop(self, subject: str) -> None:
        for home in (self.counts, self.close):
            self._take(home, subject)

    def shed(self) -> None:
        """Drop some of the oldest subjects, but keep those apart that are at half their limit."""
        home = self.close if len(self.close) > len(self.counts) else self.counts
        for subject in list(islice(home, STEP)):
            held = self._take(home, subject)
            marks = (held,) if isinstance(held, int) else held
            if home is self.counts and 2 * total(self.live(marks, self.newest)) >= self.limit:
                self._put(self.close, subject, held)

    def sweep(self, before: int) -> None:
        """Drop subjects whose marks are all older than a stamp; a bounded piece of work a call."""
        for home in (self.counts, self.close):
            for subject in list(islice(home, STEP)):
                held = home[subject]
                if (held if isinstance(held, int) else held[-1]) < before:
                    self._take(home, subject)
                elif isinstance(held, int):
                    break
                else:
                    self._put(home, subject, self._take(home, subject))
            if not home:
                home.clear()  # gives the memory of the emptied dict back

    def _take(self, home: Held, subject: str) -> int | Marks:
        held = home.pop(subject, 0)
        if not isinstance(held, int):
            self._further -= len(held) - 1
        return held

    def _put(self, home: Held, subject: str, held: int | Marks) -> None:
        home[subject] = held
        if not isinstance(held, int):
            self._further += len(held) - 1


class Room:
    """The memory that detectors share: when it is full, the largest table sheds."""

    def __init__(self, subjects: int = 1_000_000) -> None:
        self.bytes = subjects * SUBJECT
        self.tables: list[Table] = []

    def tidy(self) -> None:
        """Make sure that all tables together fit."""
        while sum([table.size() for table in self.tables]) > self.bytes:
            max(self.tables, key=Table.size).shed()
