# The lines behind the counts: bounded, of the newest events, apart from what is counted.
from collections import defaultdict
from collections.abc import Sequence

import msgspec

from pyfilter.addresses import Address, Network
from pyfilter.detection.marks import ECHO, UNIT, WEIGHT, mark_of, time_of, weight_of
from pyfilter.detection.prefixes import subject as subject_of
from pyfilter.model import Event

LONGEST = 500  # bytes of a line that are kept
USER = 100  # characters of a user name that are kept of a longer line
GENERATION = 3000  # events; two generations of the longest lines stay below 8 MB
LINES = 20  # events of an offence that carry their lines


class Remembered:
    """Events in the order they came, indexed by subject once somebody asks."""

    def __init__(self, prefix: int, events: Sequence[Event] = ()) -> None:
        self._prefix = prefix
        self._events = list(events)
        self._indexed = 0
        self._index: defaultdict[str, list[Event]] = defaultdict(list)

    def __len__(self) -> int:
        return len(self._events)

    def extend(self, events: Sequence[Event]) -> None:
        self._events += events

    def of(self, subject: str) -> list[Event]:
        for event in self._events[self._indexed :]:
            self._index[subject_of(event.address, self._prefix)].append(event)
        self._indexed = len(self._events)
        return self._index.get(subject, [])


class Evidence:
    """Two generations of events: when the younger is full it takes the older one's place."""

    def __init__(self, prefix: int, generation: int = GENERATION) -> None:
        self._prefix = prefix
        self._generation = generation
        self._old = Remembered(prefix)
        self._young = Remembered(prefix)
        self._now = Remembered(prefix)

    def begin(self, events: Sequence[Event]) -> None:
        """Lay events open whole while they are counted."""
        self._now = Remembered(self._prefix, events)

    def keep(self, events: Sequence[Event]) -> None:
        """Remember events, their lines cut, as long as newer ones leave room."""
        self._now = Remembered(self._prefix)
        newest = events[-self._generation :]
        self._young.extend(
            [event if len(event.line) <= LONGEST else cut(event) for event in newest]
        )
        if len(self._young) >= self._generation:
            self._old, self._young = self._young, Remembered(self._prefix)

    def of(self, subject: str) -> list[Event]:
        """Return the events remembered of a subject, in the order they came."""
        return self._old.of(subject) + self._young.of(subject) + self._now.of(subject)


def cut(event: Event) -> Event:
    """Return an event with no more of its line than is kept."""
    if len(event.line) <= LONGEST:
        return event
    return msgspec.structs.replace(event, line=event.line[:LONGEST], user=event.user[:USER])


def evidence(
    rule: str, subject: Network, marks: Sequence[int], remembered: Sequence[Event]
) -> tuple[Event, ...]:
    """Return one event for each mark, oldest first; a bare one where the event is forgotten."""
    keyed = [(_key(event), event) for event in reversed(remembered)]
    found = [_find(mark, keyed) or _bare(rule, subject, mark) for mark in reversed(marks)]
    kept = [cut(event) for event in found[:LINES]]
    kept += [msgspec.structs.replace(event, line=b"") for event in found[LINES:]]
    kept.reverse()
    kept.sort(key=lambda event: event.at)
    return tuple(kept)


def _key(event: Event) -> int:
    return mark_of(event) if event.weight > 0 else 0


def _find(mark: int, keyed: list[tuple[int, Event]]) -> Event | None:
    """Take the event of a mark out of `keyed`; an event may have taken over an echo's weight."""
    loose = ~(WEIGHT | ECHO)
    for mask in (-1, loose):
        for where, (key, event) in enumerate(keyed):
            if not (key ^ mark) & mask:
                del keyed[where]
                return event
    return None


def _bare(rule: str, subject: Network, mark: int) -> Event:
    address = Address(subject.partition("/")[0])
    return Event(rule, address, time_of(mark), weight=weight_of(mark) / UNIT)
