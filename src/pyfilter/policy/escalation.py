# How long a ban lasts: longer for who comes again, shorter for who kept quiet.
import math

from pyfilter.durations import FOREVER
from pyfilter.model import History, Limits

QUIET = 86400.0  # seconds; the least quiet time that takes a strike off
QUIET_FACTOR = 10.0  # and at least so many times the last ban


def strike(history: History, limits: Limits, now: float) -> int:
    """Return which strike the next ban is, 1 for the first.

    Each quiet time after the last ban takes one strike off. A quiet time is ten times what the last
    ban lasted, a day at least; a ban for ever, or a clock that went back, forgives nothing.
    """
    if history.strikes <= 0:
        return 1
    last = bantime(history.strikes, limits)
    if last is None:
        return history.strikes + 1
    quiet = now - history.last_banned - last
    forgiven = math.floor(max(0.0, quiet) / max(QUIET, QUIET_FACTOR * last))
    return max(0, history.strikes - forgiven) + 1


def bantime(number: int, limits: Limits) -> float | None:
    """Return the seconds that the ban of a strike lasts; None: for ever.

    Strike n lasts bantime * 2^(n-1), at most bantime_max (unless bantime itself is longer).
    """
    if limits.bantime == FOREVER:
        return None
    if not limits.bantime_increment or number <= 1:
        return limits.bantime
    longest = math.inf if limits.bantime_max == FOREVER else limits.bantime_max
    grown = limits.bantime * 2.0 ** min(number - 1, 60)
    return max(limits.bantime, min(grown, longest))
