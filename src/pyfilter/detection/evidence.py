# The lines behind the counts: bounded, of the newest events, apart from what is counted.
from collections.abc import Sequence

import msgspec

from pyfilter.addresses import Address, Network
from pyfilter.detection.marks import (
    ECHO,
    PID,
    PORT,
    STAMP_AT,
    TICKS,
    UNIT,
    WEIGHT,
    mark_of,
    time_of,
    weight_of,
)
from pyfilter.detection.prefixes import subject as subject_of
from pyfilter.model import Event

LONGEST = 500  # bytes of a line that are kept
USER = 100  # characters of a user name that are kept of a longer line
LINES = 20  # events of an offence that carry their lines


class Remembered:
    """Events in the order they came, indexed by subject once somebody asks."""

    def __init__(self, prefix: int) -> None:
        self._prefix = prefix
        self._events: list[Event] = []
        self._indexed = 0
        self._index: dict[str, Event | list[Event]] = {}

    def __len__(self) -> int:
        return len(self._events)

    def extend(self, events: Sequence[Event]) -> None:
        """Remember events with no more of their lines than is kept."""
        self._events += [each if len(each.line) <= LONGEST else cut(each) for each in events]

    def of(self, subject: str) -> list[Event]:
        """Return the events of a subject; indexes those that came since it was last asked."""
        index = self._index
        fresh = self._events[self._indexed :] if self._indexed < len(self._events) else ()
        for event in fresh:
            key: str = event.address
            if ":" in key:
                key = subject_of(event.address, self._prefix)
            known = index.get(key)
            if known is None:
                index[key] = event
            elif isinstance(known, Event):
                index[key] = [known, event]
            else:
                known.append(event)
        self._indexed = len(self._events)
        found = index.get(subject, [])
        return found if isinstance(found, list) else [found]


class Evidence:
    """Two generations of events: when the younger is full it takes the older one's place."""

    def __init__(self, prefix: int) -> None:
        self._prefix = prefix
        self._old, self._young = Remembered(prefix), Remembered(prefix)

    def keep(self, events: Sequence[Event], generation: int) -> None:
        """Remember events, a generation at most, until newer ones need their room."""
        if len(self._young) + len(events) > generation:
            self._old, self._young = self._young, Remembered(self._prefix)
        self._young.extend(events)

    def of(self, subject: str) -> list[Event]:
        """Return the events remembered of a subject, in the order they came."""
        return self._old.of(subject) + self._young.of(subject)


def cut(event: Event) -> Event:
    """Return an event with no more of its line than is kept."""
    if len(event.line) <= LONGEST:
        return event
    return msgspec.structs.replace(event, line=event.line[:LONGEST], user=event.user[:USER])


def evidence(
    event: Event, subject: Network, marks: Sequence[int], remembered: list[Event]
) -> tuple[Event, ...]:
    """Return one event for each mark, oldest first; a bare one where the event is forgotten.

    `event` is the one that made the offence: what was remembered behind it is not yet counted.
    """
    last = cut(event)
    behind = next((n for n, each in enumerate(reversed(remembered)) if each == last), 0)
    left = remembered[: len(remembered) - behind]
    found = [_taken(mark, left) or _bare(event.rule, subject, mark) for mark in reversed(marks)]
    found[LINES:] = [msgspec.structs.replace(each, line=b"") for each in found[LINES:]]
    found.reverse()
    return tuple(found)


def _taken(mark: int, left: list[Event]) -> Event | None:
    """Take the newest event of a mark out of `left`."""
    connection, ticks, second = mark & (PORT | PID), mark >> STAMP_AT, -1
    for where in range(len(left) - 1, -1, -1):
        event = left[where]
        known = hash(event.port) & PORT | hash(event.pid) & PID
        if known == connection and int(event.at * TICKS) == ticks:
            if event.weight > 0 and not (mark_of(event) ^ mark) & (WEIGHT | ECHO):
                return left.pop(where)
            second = where if second < 0 and event.weight > 0 else second
    return left.pop(second) if second >= 0 else None  # one that took over an echo's weight


def _bare(rule: str, subject: Network, mark: int) -> Event:
    address = Address(subject.partition("/")[0])
    return Event(rule, address, time_of(mark), weight=weight_of(mark) / UNIT)
