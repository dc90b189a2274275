# Many IPv6 networks of one site together: who holds a /48 has 65,536 networks to try from.
from pyfilter.addresses import Address, Network
from pyfilter.detection.evidence import Evidence, cut
from pyfilter.detection.marks import (
    ECHO,
    MAX_WEIGHT,
    PID,
    UNIT,
    WEIGHT,
    WEIGHT_AT,
    stamp,
    time_of,
    total,
)
from pyfilter.detection.prefixes import site, subject
from pyfilter.detection.table import Marks, Room, Table
from pyfilter.detection.window import Window
from pyfilter.model import Event, Limits, Offence

NETWORKS = (
    5  # so many banned networks are a site's limit, or so many times maxretry that failed once
)


class Sites:
    """Counts which networks of a site failed and which offended."""

    def __init__(self, limits: Limits, room: Room) -> None:
        self._prefix = limits.ipv6_prefix
        self._each = max(1, limits.maxretry) * UNIT
        self._window = Window(limits.findtime)
        self._table = Table(NETWORKS * self._each, self._window.live)
        self._evidence = Evidence()
        self._room = room
        room.tables.add(self._table)

    def failed(self, event: Event, network: Network) -> list[Offence]:
        """Count that a network failed, as often as it may; return the site's offence, if any."""
        return self._count(event, network, ECHO | UNIT << WEIGHT_AT) if event.weight > 0 else []

    def offended(self, event: Event, network: Network) -> list[Offence]:
        """Count that a network reached its own limit; return the site's offence, if any."""
        return self._count(event, network, min(self._each, MAX_WEIGHT) << WEIGHT_AT)

    def _count(self, event: Event, network: Network, kind: int) -> list[Offence]:
        whole = site(network)
        mark = stamp(event.at) | kind | hash(network) & PID
        old = self._window.live(self._table.marks(whole), stamp(event.at))
        if any(not (each ^ mark) & PID and each & WEIGHT >= mark & WEIGHT for each in old):
            return []  # a network counts once, however often it offends
        marks = self._window.join(old, mark) if old else (mark,)
        self._evidence.room(1, self._room.share())[whole].append(cut(event))
        if total(marks) < self._table.limit:
            self._table.keep(whole, marks)
            return []
        self._table.drop(whole)
        return [Offence(event.rule, whole, event.at, self._lines(event.rule, whole, marks))]

    def _lines(self, rule: str, whole: Network, marks: Marks) -> tuple[Event, ...]:
        """Return the last event of each network; a bare one where it is forgotten."""
        networks = {
            hash(subject(event.address, self._prefix)) & PID: event
            for event in self._evidence.of(whole)
        }
        base = Address(whole.partition("/")[0])
        return tuple(
            [networks.get(mark & PID) or Event(rule, base, time_of(mark)) for mark in marks]
        )

    def forget(self, before: float) -> None:
        self._table.sweep(stamp(before))

    def drop(self, whole: Network) -> None:
        self._table.drop(whole)
