# The lines behind the counts: bounded, of the newest events, apart from what is counted.
from collections.abc import Sequence

import msgspec

from pyfilter.addresses import Address, Network
from pyfilter.detection.marks import ECHO, UNIT, WEIGHT, mark_of, time_of, weight_of
from pyfilter.detection.prefixes import subject as subject_of
from pyfilter.model import Event

LONGEST = 500  # bytes of a line that are kept
USER = 100  # characters of a user name that are kept of a longer line
GENERATION = 3000  # events; two generations of long lines stay below 8 MB
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
        for event in self._events[self._indexed :]:
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

    def keep(self, events: Sequence[Event]) -> None:
        """Remember events, a generation at most, until newer ones need their room."""
        if len(self._young) + len(events) > GENERATION:
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
    event: Event, subject: Network, marks: Sequence[int], remembered: Sequence[Event]
) -> tuple[Event, ...]:
    """Return one event for each mark, oldest first; a bare one where the event is forgotten.

    `event` is the one that made the offence: what was remembered behind it is not yet counted.
    """
    last = cut(event)
    behind = next((n for n, each in enumerate(reversed(remembered)) if each == last), 0)
    keyed = [(_key(each), each) for each in remembered[: len(remembered) - behind]]
    keyed.reverse()
    found = [_find(mark, keyed) or _bare(event.rule, subject, mark) for mark in reversed(marks)]
    kept = [cut(each) for each in found[:LINES]]
    kept += [msgspec.structs.replace(each, line=b"") for each in found[LINES:]]
    kept.reverse()
    kept.sort(key=lambda each: each.at)
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
