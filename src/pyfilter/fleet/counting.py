# Failures summed over the fleet: small signed batches of evidence, and what others' batches mean here.
import asyncio
import math
import time
from collections.abc import Callable, Sequence

import msgspec
from msgspec import Struct

from pyfilter.addresses import Address, address
from pyfilter.errors import AddressError, FleetError
from pyfilter.fleet.campaigns import WEIGHT, Campaigns
from pyfilter.fleet.limits import MOST_PEERS, Quota
from pyfilter.fleet.record import AHEAD, NAME_LONGEST, proved, signature
from pyfilter.interfaces import Clock
from pyfilter.model import Event

EVERY = 1.0  # seconds between two batches of one server
LARGEST_BATCH = 16_384  # bytes
_MOST_ITEMS = 150  # in a batch; those that weigh most go first
_MOST_PENDING = 5_000
_MOST_WEIGHT = 1000.0
_CONNECTIONS = 10_000  # remembered, so that an attempt of several lines counts once
_RULE_LONGEST = 64


class Item(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What one address did against one rule since the last batch."""

    rule: str
    address: str
    weight: float
    at: float
    user: str = ""  # its digest


class Batch(Struct, frozen=True, forbid_unknown_fields=True):
    """The evidence of one server as it travels."""

    server: str
    number: int
    at: float
    items: list[Item]


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Batch)


class Desk(Struct, frozen=True):
    """What counting needs of its server."""

    name: str
    key: bytes
    span: float  # seconds for which evidence counts
    clock: Clock
    count: Callable[[Sequence[Event]], object]  # as if these had been seen here
    silent: Callable[[Address], bool]  # whose evidence is nobody's business: banned or protected


class Counting:
    """Collects evidence of this server and takes that of the others."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.campaigns = Campaigns(desk.key, desk.span)
        self.some = asyncio.Event()  # there is evidence to be sent
        self._pending: dict[tuple[str, str], Item] = {}
        self._connections: dict[tuple[str, str], None] = {}
        self._numbers: dict[str, int] = {}
        self._quotas: dict[str, Quota] = {}
        self._number = 0

    @property
    def span(self) -> float:
        return self._desk.span

    def witness(self, events: Sequence[Event]) -> None:
        """Take up what the rules of this server saw."""
        for event in events:
            if not event.weight:
                if event.kind == "success":
                    self.campaigns.login(event.address)
            elif event.weight < math.inf and not self._is_echo(event):
                self._collect(event)
        if self._pending:
            self.some.set()

    def _is_echo(self, event: Event) -> bool:
        """Say whether an event is one more line of an attempt that was collected."""
        connection = (event.address, event.port or event.pid)
        known = connection in self._connections
        if connection[1] and not known:
            self._connections[connection] = None
            if len(self._connections) > _CONNECTIONS:
                del self._connections[next(iter(self._connections))]
        return event.echo and known

    def _collect(self, event: Event) -> None:
        user = self.campaigns.digest(event.user)
        self.campaigns.note(user, event.address, event.at)
        key = (event.rule, event.address)
        before = self._pending.get(key)
        if before is None and len(self._pending) >= _MOST_PENDING:
            return
        weight = min(_MOST_WEIGHT, event.weight + (before.weight if before else 0.0))
        self._pending[key] = Item(event.rule, event.address, weight, event.at, user)

    def batch(self) -> bytes | None:
        """Return the sealed evidence since the last batch; None when there is none."""
        items = [
            one for one in self._pending.values() if not self._desk.silent(Address(one.address))
        ]
        self._pending.clear()
        self.some.clear()
        if not items:
            return None
        items.sort(key=lambda item: -item.weight)
        self._number = max(self._number + 1, time.time_ns() // 1000)
        told = Batch(self._desk.name, self._number, self._desk.clock(), items[:_MOST_ITEMS])
        body = _encoder.encode(told)
        return signature(body, self._desk.key) + b" " + body

    def take(self, sealed: bytes) -> None:
        """Count another server's evidence here; raises FleetError when it is refused."""
        now = self._desk.clock()
        try:
            batch = _decoder.decode(proved(sealed, self._desk.key, LARGEST_BATCH))
        except msgspec.DecodeError as error:
            raise FleetError(f"a batch of evidence is malformed: {error}") from None
        if batch.server == self._desk.name or batch.at < now - self._desk.span:
            return
        self._admit(batch, now)
        events = [self._event(item, batch, now) for item in batch.items]
        self._desk.count([event for event in events if not self._desk.silent(event.address)])

    def _admit(self, batch: Batch, now: float) -> None:
        if not 0 < len(batch.server) <= NAME_LONGEST:
            raise FleetError("a batch of evidence names no server")
        if batch.at > now + AHEAD:
            raise FleetError("a batch of evidence is dated in the future: set the clocks by NTP")
        if batch.number <= self._numbers.get(batch.server, 0):
            raise FleetError("a batch of evidence was sent before: it is replayed")
        if batch.server not in self._quotas and len(self._quotas) >= MOST_PEERS:
            raise FleetError("there are more servers than a fleet can have")
        quota = self._quotas.setdefault(batch.server, Quota(now))
        if len(batch.items) > _MOST_ITEMS or not all(quota.take(now) for _ in batch.items):
            raise FleetError("a server sends more evidence than it may")
        self._numbers[batch.server] = batch.number

    def _event(self, item: Item, batch: Batch, now: float) -> Event:
        try:
            peer = address(item.address)
        except AddressError as error:
            raise FleetError(f"a batch of evidence is malformed: {error}") from None
        known = 0 < item.weight <= _MOST_WEIGHT and len(item.rule) <= _RULE_LONGEST
        if peer != item.address or not known:
            raise FleetError("a batch of evidence is malformed: an item is out of bounds")
        at = min(item.at, now)
        self.campaigns.note(item.user, peer, at)
        heavy = item.user and self.campaigns.lasts(item.user, at)
        weight = item.weight * WEIGHT if heavy else item.weight
        return Event(item.rule, peer, at, weight, line=f"counted by {batch.server}".encode())
