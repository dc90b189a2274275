# The lines behind the counts: bounded, of the newest events, apart from what is counted.
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

Group = list[tuple[int, Event]]  # with the mark of each
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
    groups = _grouped(marks, remembered)
    address = Address(subject.partition("/")[0])
    found = [
        _taken(mark, groups[mark & MOMENT])
        or Event(rule, address, time_of(mark), weight=weight_of(mark) / UNIT)
        for mark in reversed(marks)
    ]
    if len(found) > LINES:
        found[LINES:] = [msgspec.structs.replace(each, line=b"") for each in found[LINES:]]
    found.reverse()
    return tuple(found)


def _grouped(marks: Sequence[int], remembered: list[Event]) -> dict[int, Group]:
    """Return events newest first by time and connection, as many as it takes for these marks."""
    groups: dict[int, Group] = {mark & MOMENT: [] for mark in marks}
    ports = {moment & PORT for moment in groups}
    missing = list(marks)
    for event in reversed(remembered):
        port = hash(event.port) & PORT
        if port not in ports or not event.weight > 0:
            continue
        moment = stamp(event.at) | hash(event.pid) & PID | port
        if moment in groups:
            mark = moment | kind_of(event)
            groups[moment].append((mark, event))
            if mark in missing:
                missing.remove(mark)
                if not missing:
                    break
    return groups


def _taken(mark: int, group: Group) -> Event | None:
    """Take the newest event of a mark out of its group, else one that took an echo's weight over."""
    for where, (known, event) in enumerate(group):
        if known == mark:
            del group[where]
            return event
    return group.pop(0)[1] if group else None
