# Events in, offences out: the counting of one rule.
from collections.abc import Sequence
from typing import Protocol

from pyfilter.addresses import Address, Network
from pyfilter.detection.evidence import Evidence, evidence
from pyfilter.detection.marks import (
    ECHO,
    ONE,
    PID,
    PORT,
    STAMP_AT,
    TICKS,
    UNIT,
    WEIGHT,
    WEIGHT_AT,
    stamp,
    thousandths,
    total,
)
from pyfilter.detection.prefixes import subject
from pyfilter.detection.table import Marks, Room, Table
from pyfilter.model import AT_ONCE, Event, Limits, Offence

CHUNK = 4096  # events between two looks at the memory


class Counting(Protocol):
    """How a mark joins those of its subject: within a window or as a streak."""

    span: int

    def join(self, marks: Marks, mark: int, floor: int) -> Marks: ...

    def live(self, marks: Marks, newest: int) -> Marks: ...


class EventDetector:
    """Counts the events of one rule; see interfaces.Detector."""

    def __init__(self, limits: Limits, counting: Counting, room: Room) -> None:
        self._prefix = limits.ipv6_prefix
        self._counting = counting
        self._limit = max(1, limits.maxretry) * UNIT
        self._heaviest = UNIT
        self._table = Table(self._limit, counting.live)
        self._room = room
        self._evidence = Evidence(self._prefix)
        room.tables.append(self._table)

    def observe(self, events: Sequence[Event]) -> list[Offence]:
        """Return the offences that these events complete."""
        offences: list[Offence] = []
        self._evidence.begin(events)
        for start in range(0, len(events), CHUNK):
            chunk = events[start : start + CHUNK] if len(events) > CHUNK else events
            self._count(chunk, offences)
            self._room.tidy()
        self._evidence.keep(events)
        return offences

    def _count(self, events: Sequence[Event], offences: list[Offence]) -> None:
        """Count events; the loop that a flood goes through, hence its local names."""
        counts, close = self._table.counts, self._table.close
        limit = self._limit << WEIGHT_AT
        span = self._counting.span
        prefix = self._prefix
        last, now, floor = -1.0, 0, 0
        for event in events:
            weight = event.weight
            part = ONE if weight == 1.0 else self._part(weight)
            if not part:
                continue
            at = event.at
            if at != last:
                last, now = at, int(at * TICKS) << STAMP_AT
                floor = now - span
                self._table.newest = max(self._table.newest, now)
            mark = now | part | hash(event.pid) & PID | hash(event.port) & PORT
            if event.echo:
                mark |= ECHO
            key: str = event.address
            if ":" in key:
                key = subject(event.address, prefix)
            if key not in counts and key not in close and part < limit:
                counts[key] = mark
            elif self._join(key, mark, floor):
                offences.append(self._offence(event, key))

    def _part(self, weight: float) -> int:
        """Return a weight at its place in a mark; 0 for what is not counted."""
        if not weight > 0:
            return 0
        if weight == AT_ONCE:
            return WEIGHT
        self._heaviest = max(self._heaviest, thousandths(weight))
        return thousandths(weight) << WEIGHT_AT

    def _join(self, key: str, mark: int, floor: int) -> bool:
        """Add a mark to those of a subject; say whether that is an offence."""
        old = self._table.marks(key)
        marks = self._counting.join(old, mark, floor) if old else (mark,)
        if marks is old:
            return False
        self._table.keep(key, marks)
        if mark & WEIGHT == WEIGHT:
            return True
        return len(marks) * self._heaviest >= self._limit and total(marks) >= self._limit

    def _offence(self, event: Event, key: str) -> Offence:
        marks = self._table.marks(key)
        self._table.drop(key)
        lines = evidence(event.rule, Network(key), marks, self._evidence.of(key))
        return Offence(event.rule, Network(key), event.at, lines)

    def forget(self, before: float) -> None:
        """Drop subjects not seen since a time, the oldest first, a bounded number a call."""
        self._table.sweep(stamp(before))

    def drop(self, subject: Network) -> None:
        """Drop all that is counted of one subject."""
        self._table.drop(self._key(subject))

    def score(self, subject: Network) -> float:
        """Return the weight that counts against a subject at the time of the newest event."""
        marks = self._table.marks(self._key(subject))
        return total(self._counting.live(marks, self._table.newest)) / UNIT

    def recent(self, subject: Network) -> tuple[Event, ...]:
        """Return the events still remembered of a subject, oldest first."""
        return tuple(self._evidence.of(self._key(subject)))

    def __len__(self) -> int:
        return len(self._table)

    def _key(self, network: Network) -> Network:
        """Return the subject that an address is counted under."""
        return network if "/" in network else subject(Address(network), self._prefix)
