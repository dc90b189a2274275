# Events in, offences out: the counting of one rule.
import math
from collections.abc import Iterable, Sequence
from itertools import groupby
from operator import attrgetter
from typing import Protocol

from pyfilter.addresses import Address, Network
from pyfilter.detection.evidence import LONGEST, Evidence, Seen, cut, evidence
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
    in_order,
    stamp,
    stamp_of,
    thousandths,
    total,
)
from pyfilter.detection.prefixes import SITE, subject
from pyfilter.detection.sites import Sites
from pyfilter.detection.table import PARTS, Marks, Room, Row, Table, join_usual
from pyfilter.model import AT_ONCE, Event, Limits, Offence

NEVER = math.nan
PAIR = 2  # parts of a row for each mark
NEXT = 1 << STAMP_AT
_AT = attrgetter("at")


class Counting(Protocol):
    """How a mark joins those of its subject: within a window or as a streak."""

    span: int
    edge: int  # the place in a row of the mark that must not be too old: the oldest or the newest

    def join(self, marks: Marks, mark: int) -> Marks: ...

    def live(self, marks: Marks, newest: int) -> Marks: ...


class EventDetector:
    """Counts the events of one rule; see interfaces.Detector."""

    def __init__(self, limits: Limits, counting: Counting, room: Room) -> None:
        self._prefix = limits.ipv6_prefix
        self._counting = counting
        self._limit = max(1, limits.maxretry) * UNIT
        self._most = PAIR * (max(1, limits.maxretry) - 1)  # a row this long is sure to be below it
        self._usual = 1.0 if self._most else NEVER  # the weight of events that need no closer look
        self._lighter: dict[float, int] = {}  # weights below 1: what their marks are less
        self._table = Table(self._limit, counting.live)
        self._room = room
        self._evidence = Evidence()
        self._sites = Sites(limits, room) if limits.ipv6_prefix > SITE else None
        room.tables.add(self._table)

    def observe(self, events: Sequence[Event]) -> list[Offence]:
        """Return the offences that these events complete."""
        offences: list[Offence] = []
        share = self._room.share()
        for start in range(0, len(events), share):
            chunk = events[start : start + share]
            seen = self._evidence.room(len(chunk), share)
            for at, moment in groupby(chunk, _AT):
                now = int(at * TICKS) << STAMP_AT
                self._table.newest = max(self._table.newest, now)
                self._count(moment, now, seen, offences)
            self._room.tidy(len(chunk))
        return offences

    def _count(self, events: Iterable[Event], now: int, seen: Seen, found: list[Offence]) -> None:
        """Count events of one time, the usual ones here: a flood goes through this loop."""
        table, usual, edge = self._table, self._usual, self._counting.edge
        parts, floor, later = table.counts, now - self._counting.span, now + NEXT
        who, peer, process, port, plain, counted = None, None, "", 0, 0, False  # of the one before
        for event in events:
            if event.address != who or not counted:
                who, counted = event.address, False
                key: str = who if ":" not in who else self._six(event, found)
                lines, counts = seen[key], parts[hash(key) & PARTS - 1]
            lines.append(event if len(event.line) <= LONGEST else cut(event))
            if event.port != peer or event.pid != process:
                peer, process, port = event.port, event.pid, hash(event.port) & PORT
                plain = hash(process) & PID | port | now | ONE
            elif counted and event.echo and port and event.weight == usual:
                continue  # of the attempt that has just counted
            mark, held, counted = plain | ECHO if event.echo else plain, counts.get(key), True
            less = 0 if event.weight == usual else self._lighter.get(event.weight, -1)
            if held is None and less >= 0 and key not in table.close:
                counts[key] = mark - less
                continue
            if held is not None and less >= 0 and (port or not process):
                row = held if isinstance(held, tuple) else (held, held & PORT)
                if floor <= row[edge] and row[-2] < later:
                    if event.echo and port and port in row:
                        continue
                    if joined := join_usual(row, mark - less, port):
                        counted = self._add(event, key, joined, len(row), found)
                        continue
            counted = self._join(event, key, mark, found)

    def _add(self, event: Event, key: str, row: Row, before: int, offences: list[Offence]) -> bool:
        """Hold a row that has grown; say whether the subject's count goes on."""
        counts = self._table.part(key)
        counts[key] = row if len(row) > PAIR else row[0]
        self._table.grown((len(row) - before) // PAIR)
        if len(row) > self._most:
            self._reach(event, key, row[::PAIR], offences)
        return key in counts

    def _join(self, event: Event, key: str, mark: int, offences: list[Offence]) -> bool:
        """Count an event of any kind; what follows it takes as close a look."""
        if event.weight != 1.0:
            mark = mark & ~WEIGHT | self._part(event.weight)
            if not mark & WEIGHT:
                return False
        at_once = mark & WEIGHT == WEIGHT
        old = self._table.marks(key)
        if at_once:
            old = self._counting.live(old, stamp_of(max(mark, *old))) if old else ()
        marks = in_order(old, mark) if at_once or not old else self._counting.join(old, mark)
        if marks is old:
            return False
        self._table.keep(key, marks)
        if at_once:
            offences += self._offences(event, Network(key), marks)
        elif PAIR * len(marks) > self._most:
            self._reach(event, key, marks, offences)
        return False

    def _reach(self, event: Event, key: str, marks: Marks, offences: list[Offence]) -> None:
        """Take note of an offence if marks reach the limit."""
        if total(marks) >= self._limit:
            offences += self._offences(event, Network(key), marks)

    def _offences(self, event: Event, subject: Network, marks: Marks) -> list[Offence]:
        """Return the offence of a subject, and that of its site; the subject's count restarts."""
        self._table.drop(subject)
        lines = evidence(event.rule, subject, marks, self._evidence.of(subject))
        offence = Offence(event.rule, subject, event.at, lines)
        if self._sites is None or ":" not in subject:
            return [offence]
        return [offence, *self._sites.offended(event, subject)]

    def _six(self, event: Event, offences: list[Offence]) -> Network:
        """Return the subject of an IPv6 address; count for its site that it failed."""
        key = subject(event.address, self._prefix)
        if self._sites is not None and key not in self._table.part(key):
            offences += self._sites.failed(event, key)
        return key

    def _part(self, weight: float) -> int:
        """Return a weight at its place in a mark; 0 for what is not counted."""
        if not weight > 0:
            return 0
        if weight == AT_ONCE:
            return WEIGHT
        units = thousandths(weight)
        if units < UNIT < self._limit:
            self._lighter[weight] = ONE - (units << WEIGHT_AT)
        self._most = min(self._most, PAIR * (-(-self._limit // units) - 1))
        return units << WEIGHT_AT

    def forget(self, before: float) -> None:
        """Drop subjects not seen since a time, the oldest first, a bounded number a call."""
        self._table.sweep(stamp(before))
        if self._sites is not None:
            self._sites.forget(before)

    def drop(self, subject: Network) -> None:
        """Drop all that is counted of one subject."""
        self._table.drop(self._key(subject))
        if self._sites is not None:
            self._sites.drop(subject)

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
