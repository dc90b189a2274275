# Streak counting, as the original PyFilter did it: each failure within a gap of the one before.
from pyfilter.detection.marks import ECHO, in_order, kin, stamp, stamp_of, take_place


class Streak:
    """Joins a mark to an unbroken row of marks of the same subject."""

    def __init__(self, request_time: float) -> None:
        self.span = stamp(request_time)
        self.edge = -2  # of a row: its newest mark

    def join(self, marks: tuple[int, ...], mark: int) -> tuple[int, ...]:
        """Return what counts now; `marks` itself when the mark adds nothing.

        A gap longer than the span starts anew; a mark that comes late by more is left out.
        """
        if stamp_of(mark) < stamp_of(marks[-1]) - self.span:
            return marks
        broken = marks[-1] < stamp_of(mark) - self.span
        related = kin(marks, mark)
        if related:
            if mark & ECHO:
                return marks
            if all(old & ECHO for old in related):
                marks, mark = take_place(marks, related[0], mark)
        if broken:
            return (mark,)
        return in_order(marks, mark)

    def live(self, marks: tuple[int, ...], newest: int) -> tuple[int, ...]:
        """Return the marks that still count at a stamp."""
        return marks if marks and marks[-1] >= newest - self.span else ()
