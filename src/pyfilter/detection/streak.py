# Streak counting, as the original PyFilter did it: each failure within a gap of the one before.
from pyfilter.detection.marks import BELOW_STAMP, ECHO, in_order, kin, stamp, take_place


class Streak:
    """Joins a mark to an unbroken row of marks of the same subject."""

    def __init__(self, request_time: float) -> None:
        self.span = stamp(request_time)

    def join(self, marks: tuple[int, ...], mark: int, floor: int) -> tuple[int, ...]:
        """Return what counts now; `marks` itself when the mark adds nothing.

        `floor` is the stamp of `mark` less the span. A gap longer than the span starts anew; a mark
        that comes late by more than the span is left out.
        """
        newest = marks[-1]
        if mark < newest and mark | BELOW_STAMP < newest - self.span:
            return marks
        related = kin(marks, mark)
        if related:
            if mark & ECHO:
                return marks
            if all(old & ECHO for old in related):
                marks, mark = take_place(marks, related[0], mark)
        if not marks or marks[-1] < floor:
            return (mark,)
        return in_order(marks, mark)

    def live(self, marks: tuple[int, ...], newest: int) -> tuple[int, ...]:
        """Return the marks that still count at a stamp."""
        return marks if marks and marks[-1] >= newest - self.span else ()
