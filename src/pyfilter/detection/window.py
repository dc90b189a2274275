# Window counting: the weight of the last `findtime` seconds.
from pyfilter.detection.marks import ECHO, in_order, kin, stamp, stamp_of, take_place


class Window:
    """Joins a mark to those of the same subject that lie within a span before it."""

    def __init__(self, findtime: float) -> None:
        self.span = stamp(findtime)
        self.edge = 0  # of a row: its oldest mark

    def join(self, marks: tuple[int, ...], mark: int) -> tuple[int, ...]:
        """Return what counts now; `marks` itself when the mark adds nothing.

        A mark that comes late counts if it lies within the span before the newest.
        """
        floor = stamp_of(max(marks[-1], mark)) - self.span
        if mark < floor:
            return marks
        kept = marks if marks[0] >= floor else tuple([old for old in marks if old >= floor])
        related = kin(kept, mark)
        if related:
            if mark & ECHO:
                return marks
            if all(old & ECHO for old in related):
                kept, mark = take_place(kept, related[0], mark)
        return in_order(kept, mark)

    def live(self, marks: tuple[int, ...], newest: int) -> tuple[int, ...]:
        """Return the marks that still count at a stamp."""
        floor = newest - self.span
        return tuple([mark for mark in marks if mark >= floor])
