# The lines behind the counts: bounded, of the newest events, apart from what is counted.
import math
from collections import defaultdict
from collections.abc import Sequence

import msgspec

from pyfilter.addresses import Address, Network
from pyfilter.detection.marks import (
    ECHO,
    PID,
    PORT,
    UNIT,
    WEIGHT,
    kind_of,
    stamp,
    time_of,
    weight_of,
)
from pyfilter.model import Event

LONGEST = 500  # bytes of a line that are kept
USER = 100  # characters of a user name that are kept of a longer line
LINES = 20  # events of an offence that carry their lines
MOMENT = ~(WEIGHT | ECHO)  # of a mark: its time and connection

Others = list[tuple[int, Event]]  # with the mark of each
Seen = defaultdict[str, list[Event]]  # by subject, in the order they came


class Evidence:
    """Two generations of events: when the younger is full it takes the older one's place."""

    def __init__(self) -> None:
        self._old, self._young = Seen(list), Seen(list)
        self._events = 0  # of the younger generation

    def room(self, events: int, generation: int) -> Seen:
        """Return where so many events, a generation at most, can be added under their subjects.

        They are remembered until newer ones need their room; `cut` the overlong.
        """
        if self._events + events > generation:
            self._old, self._young, self._events = self._young, Seen(list), 0
        self._events += events
        return self._young

    def of(self, subject: str) -> list[Event]:
        """Return the events remembered of a subject, in the order they came."""
        old, young = self._old.get(subject), self._young.get(subject)
        return [*old, *(young or ())] if old else young or []


def cut(event: Event) -> Event:
    """Return an event with no more of its line than is kept."""
    if len(event.line) <= LONGEST:
        return event
    return msgspec.structs.replace(event, line=event.line[:LONGEST], user=event.user[:USER])


def evidence(
    rule: str, subject: Network, marks: Sequence[int], remembered: list[Event]
) -> tuple[Event, ...]:
    """Return one event for each mark, oldest first; a bare one where the event is forgotten."""
    known, others = _known(marks, remembered)
    found = []
    for mark in reversed(marks):
        events = known.get(mark)
        found.append(events.pop(0) if events else _other(rule, subject, mark, others))
    if len(found) > LINES:
        found[LINES:] = [msgspec.structs.replace(each, line=b"") for each in found[LINES:]]
    found.reverse()
    return tuple(found)


def _known(marks: Sequence[int], remembered: list[Event]) -> tuple[dict[int, list[Event]], Others]:
    """Return the newest events of each mark, and those that were passed over, newest first."""
    known: dict[int, list[Event]] = {}
    others: Others = []
    missing, at, time = list(marks), math.nan, 0
    for event in reversed(remembered):
        if event.at != at:
            at, time = event.at, stamp(event.at)
        if not event.weight > 0:
            continue
        mark = time | (hash(event.pid) & PID | hash(event.port) & PORT) | kind_of(event)
        if mark not in missing:
            others.append((mark, event))
            continue
        missing.remove(mark)
        known.setdefault(mark, []).append(event)
        if not missing:
            break
    return known, others


def _other(rule: str, subject: Network, mark: int, others: Others) -> Event:
    """Take the event that took the weight of a mark's echo over; make a bare one if there is none."""
    for where, (known, event) in enumerate(others):
        if not (known ^ mark) & MOMENT:
            del others[where]
            return event
    address = Address(subject.partition("/")[0])
    return Event(rule, address, time_of(mark), weight=weight_of(mark) / UNIT)
