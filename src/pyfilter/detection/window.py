# Window counting: the weight of the last `findtime` seconds.
from pyfilter.detection.marks import BELOW_STAMP, ECHO, in_order, kin, stamp, take_place


class Window:
    """Joins a mark to those of the same subject that lie within a span before it."""

    def __init__(self, findtime: float) -> None:
        self.span = stamp(findtime)

    def join(self, marks: tuple[int, ...], mark: int, floor: int) -> tuple[int, ...]:
        """Return what counts now; `marks` itself when the mark adds nothing.

        `floor` is the stamp of `mark` less the span. A mark older than the newest is late: it counts
        if it lies within the span before the newest.
        """
        newest = marks[-1]
        if mark < newest and mark | BELOW_STAMP < newest:
            floor = (newest | BELOW_STAMP) - BELOW_STAMP - self.span
            if mark < floor:
                return marks
        kept = marks
        if marks[0] < floor:
            kept = tuple([old for old in marks if old >= floor])
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
