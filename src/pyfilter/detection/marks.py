# An event as it is counted: one integer, so that a million of them fit into memory.
#
# From the low end: port (30 bits), pid (30 bits), echo (1), weight in thousandths (20), time in
# ticks. Port and pid are hashed (0: unknown), which takes any text at a fixed size; two texts of
# one address meet with a chance of 1 in 10^9. The time on top makes marks sort by time.
from pyfilter.model import Event

PORT = (1 << 30) - 1
PID = PORT << 30
ECHO = 1 << 60
WEIGHT_AT = 61
WEIGHT = ((1 << 20) - 1) << WEIGHT_AT
STAMP_AT = 81
BELOW_STAMP = (1 << STAMP_AT) - 1
TICKS = float(1 << 22)  # a second; today's floats are exact to this very fraction
UNIT = 1000  # weight 1.0
MAX_WEIGHT = (1 << 20) - 1
ONE = UNIT << WEIGHT_AT


def stamp(seconds: float) -> int:
    """Return a time or a span of seconds as it stands in a mark."""
    return int(seconds * TICKS) << STAMP_AT


def stamp_of(mark: int) -> int:
    """Return the time of a mark as it stands in it."""
    return mark >> STAMP_AT << STAMP_AT


def thousandths(weight: float) -> int:
    """Return a weight (0 < weight) in the units that marks add up without rounding errors."""
    return max(1, round(min(weight * UNIT, MAX_WEIGHT)))


def kind_of(event: Event) -> int:
    """Return weight and echo of an event whose weight is above 0, as they stand in its mark."""
    weight = ONE if event.weight == 1.0 else thousandths(event.weight) << WEIGHT_AT
    return weight | ECHO if event.echo else weight


def time_of(mark: int) -> float:
    """Return the time of a mark in seconds."""
    return (mark >> STAMP_AT) / TICKS


def weight_of(mark: int) -> int:
    """Return the weight of a mark in thousandths."""
    return (mark & WEIGHT) >> WEIGHT_AT


def total(marks: tuple[int, ...]) -> int:
    """Return the weight of marks together, in thousandths."""
    return sum([mark & WEIGHT for mark in marks]) >> WEIGHT_AT


def same_connection(one: int, other: int) -> bool:
    """Say whether two marks are of one connection: equal ports, or equal pids if a port is unknown."""
    if one & PORT and other & PORT:
        return not (one ^ other) & PORT
    return bool(one & PID) and not (one ^ other) & PID


def kin(marks: tuple[int, ...], mark: int) -> list[int]:
    """Return the marks that are of the connection of `mark`."""
    if mark & PORT:
        found = [old for old in marks if not (old ^ mark) & PORT or not old & PORT]
    elif mark & PID:
        found = [old for old in marks if not (old ^ mark) & PID]
    else:
        return []
    return [old for old in found if same_connection(old, mark)] if found else found


def take_place(marks: tuple[int, ...], echo: int, mark: int) -> tuple[tuple[int, ...], int]:
    """Return marks without `echo`, and `mark` with the greater weight of the two."""
    where = marks.index(echo)
    if (echo ^ mark) & WEIGHT and echo & WEIGHT > mark & WEIGHT:
        mark = mark & ~WEIGHT | echo & WEIGHT
    return marks[:where] + marks[where + 1 :], mark


def in_order(marks: tuple[int, ...], mark: int) -> tuple[int, ...]:
    """Return marks with one more, ordered by time."""
    if not marks or mark | BELOW_STAMP >= marks[-1]:
        return (*marks, mark)
    return tuple(sorted((*marks, mark), key=lambda each: each >> STAMP_AT))
