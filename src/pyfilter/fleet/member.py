# One server as a member of the fleet: publishes its decisions, follows those of the others.
import asyncio
import logging
import random
import time
from collections.abc import Sequence
from secrets import randbelow
from typing import Any, Literal

from pyfilter.errors import FleetError
from pyfilter.fleet.counting import EVERY, Counting
from pyfilter.fleet.endings import closed, innermost, leaving, text
from pyfilter.fleet.limits import Limits
from pyfilter.fleet.presence import Presence
from pyfilter.fleet.reception import MARKS, Reception
from pyfilter.fleet.record import REASON, Record, seal, told, unseal
from pyfilter.fleet.seat import Seat
from pyfilter.fleet.store import Store
from pyfilter.model import Allowance, Ban, Decision, Release

_log = logging.getLogger(__name__)
HEARTBEAT = 2.0  # seconds; a Redis that is gone, stopped or flushed is noticed by then
_AGAIN = 1.0  # seconds until Redis is tried again
_REST = 0.05  # seconds from one read to the next: a storm is read in few pieces
_MOST_WAITING = 10_000  # decisions; more than that are left to the next comparison
_BATCH = 500
_SILENT = 60.0  # seconds between two log lines about Redis
_ELSEWHERE = {"expired", "fleet", "local", "allowlist"}  # causes of releases that are ours alone
_NEAR_FULL = 500  # records in one read: perhaps some before them are no longer streamed
_SOON, _EACH = 1.0, 0.01  # seconds (and per server) until others' bans are put back into Redis


class Member:
    """Shares bans and releases; a notifier that never waits for Redis."""

    name = "fleet"

    def __init__(self, seat: Seat, limits: Limits) -> None:
        self._seat, self._limits = seat, limits
        self._waiting: list[Decision] = []
        self._wake = asyncio.Event()
        self._behind = False  # more was decided than `_waiting` holds
        self._reception = Reception(seat, limits, self._queue)
        self._reception.mark = randbelow(MARKS + 1)
        self._presence = Presence(seat, limits)
        self._complained = -_SILENT
        self._number = 0
        self._compared = 0.0
        self._put_back = float("inf")  # when bans of others, missing in Redis, are put back
        self._putting = asyncio.Lock()  # numbers grow in the order of the stream
        self.health = "connecting"

    def tell(self, decision: Decision) -> None:
        """Take a decision of this server to be published soon."""
        if self._ours(decision):
            self._queue(decision)

    def _queue(self, decision: Decision) -> None:
        if len(self._waiting) >= _MOST_WAITING:
            self._behind = True
        else:
            self._waiting.append(decision)
        self._wake.set()

    def _ours(self, decision: Decision) -> bool:
        if isinstance(decision, Release):
            return decision.cause not in _ELSEWHERE
        return not decision.observe and decision.origin in {"operator", self._seat.name}

    def state(self) -> dict[str, Any]:
        """Return what `status` shows."""
        return {
            "health": self._presence.trouble or self.health,
            "name": self._seat.name,
            "signed": bool(self._seat.key),
            "waiting": len(self._waiting),
            "servers": self._presence.rows(),
            "refused": dict(self._limits.refused),
            "counting": self._seat.counting is not None,
            "campaigns": self._campaigns(),
        }

    def _campaigns(self) -> int:
        counting = self._seat.counting
        return counting.campaigns.number(self._seat.clock()) if counting else 0

    async def run(self) -> None:
        """Stay connected until cancelled; whatever Redis does, only the log hears of it."""
        from redis.exceptions import RedisError  # noqa: PLC0415 - only a fleet needs it

        while True:
            store = self._seat.open_store()
            try:
                # A task of its own, because a TaskGroup that fails leaves its task marked as cancelled.
                await asyncio.create_task(self._session(store))
            except* FleetError as group:
                self._complain(innermost(group))
            except* (RedisError, OSError, TimeoutError) as group:
                self.health = f"unreachable: {text(innermost(group))}"
                self._complain(innermost(group))
            finally:
                self._presence.save()
                await closed(store)
            if leaving():
                raise asyncio.CancelledError
            await asyncio.sleep(_AGAIN)

    async def _session(self, store: Store) -> None:
        self._presence.begin()
        await self._presence.show(
            store, self._reception.mark
        )  # what is lost from now on is noticed
        places = {store.stream: await store.newest()}
        self._seat.connected()
        await self._compare(store)
        if leaving():  # what follows would wait for a cancellation that came already
            return
        self.health = "ok"
        self._wake.set()
        async with asyncio.TaskGroup() as tasks:
            if counting := self._seat.counting:
                since = max(0, int((self._seat.clock() - counting.span) * 1000))
                places[store.counts] = b"%d-0" % since
                tasks.create_task(self._count(store, counting))
            tasks.create_task(self._follow(store, places))
            tasks.create_task(self._publish(store))
            tasks.create_task(self._beat(store))

    async def _follow(self, store: Store, places: dict[str, bytes]) -> None:
        while not leaving():
            before, began = places[store.stream], time.monotonic()
            came = await store.news(places)
            news = came.get(store.stream, [])
            self._reception.take(news, fresh=True)
            self._reception.take_evidence(came.get(store.counts, []))
            if len(news) >= _NEAR_FULL and _place(await store.oldest()) > _place(before):
                await self._compare(store)
            await asyncio.sleep(began + _REST - time.monotonic())

    async def _publish(self, store: Store) -> None:
        while not leaving():
            await self._wake.wait()
            self._wake.clear()
            while batch := self._waiting[:_BATCH]:
                await self._put(store, batch)
                del self._waiting[: len(batch)]
            if self._behind:
                self._behind = False
                await self._compare(store)

    async def _count(self, store: Store, counting: Counting) -> None:
        while not leaving():
            await counting.some.wait()
            if sealed := counting.batch():
                await store.add_count(sealed, self._seat.clock() - counting.span)
            await asyncio.sleep(EVERY)

    async def _beat(self, store: Store) -> None:
        while not leaving():
            await asyncio.sleep(HEARTBEAT)
            await self._presence.show(store, self._reception.mark)
            now, check_time = time.monotonic(), self._seat.check_time
            if now > self._put_back or (check_time and now - self._compared > check_time):
                await self._compare(store)

    async def _compare(self, store: Store) -> None:
        """Make the snapshot and this server hold the same."""
        held: dict[str, tuple[str, float, float]] = {}
        async for page in store.snapshot(store.bans, self._seat.clock()):
            for record in self._reception.take(page, fresh=False):
                held[record.subject] = (record.kind, record.at, record.end())
            await asyncio.sleep(0)
        late = time.monotonic() > self._put_back
        self._put_back = float("inf")
        missing = [ban for ban in self._seat.bans() if _lacks(held.get(ban.subject), ban)]
        ours: list[Decision] = [ban for ban in missing if late or self._ours(ban)]
        if len(ours) < len([ban for ban in missing if not ban.observe]):
            # Redis was emptied while their server was away; not all of us at once put them back.
            wait = _SOON + random.random() * _EACH * len(self._presence.servers)  # noqa: S311
            self._put_back = time.monotonic() + wait
        for start in range(0, len(ours), _BATCH):
            await self._put(store, ours[start : start + _BATCH])
        await self._compare_allowed(store)
        self._compared = time.monotonic()

    async def _compare_allowed(self, store: Store) -> None:
        if (allowances := self._seat.allowances) is None:
            return
        held: dict[str, float] = {}
        now = self._seat.clock()
        async for page in store.snapshot(store.allowed, now):
            held.update((r.subject, r.at) for r in self._reception.take(page, fresh=False))
        if lacking := list(allowances.lacking(held, now)):
            await store.put_sealed(store.allowed, lacking, now)

    def share(self, allowance: Allowance, *, allowed: bool) -> None:
        """Make an entry protected on every server, or no longer; raises FleetError."""
        entry, until, now = allowance.entry, allowance.until, self._seat.clock()
        number = self._next_number()
        kind: Literal["allow", "disallow"] = "allow" if allowed else "disallow"
        made = Record(kind, self._seat.name, number, entry, now, until, allowance.note[:REASON])
        sealed = seal(made, self._seat.key)
        unseal(sealed, self._seat.key, now)  # what others would refuse is not sent
        if self._seat.allowances:
            self._seat.allowances.take(made, sealed, now)
        self._behind = True
        self._wake.set()

    async def _put(self, store: Store, decisions: Sequence[Decision]) -> None:
        async with self._putting:
            stood = await store.put(self._records(decisions), self._seat.clock())
        self._reception.take(stood, fresh=False)

    def _records(self, decisions: Sequence[Decision]) -> list[Record]:
        return [told(one, self._seat.name, self._next_number()) for one in decisions]

    def _next_number(self) -> int:
        self._number = max(self._number + 1, time.time_ns() // 1000, self._limits.ours)
        self._limits.ours = self._number
        return self._number * (MARKS + 1) + self._reception.mark

    def _complain(self, error: BaseException) -> None:
        """Say what is wrong, once a minute at most."""
        if time.monotonic() - self._complained >= _SILENT:
            self._complained = time.monotonic()
            _log.warning("Fleet: %s", text(error))


def _lacks(held: tuple[str, float, float] | None, ban: Ban) -> bool:
    if ban.observe:
        return False
    if held is None:
        return True
    kind, at, end = held
    if kind == "release":
        return at < ban.since
    return end < (float("inf") if ban.until is None else ban.until)


def _place(place: bytes) -> tuple[int, int]:
    milliseconds, _, number = place.partition(b"-")
    return int(milliseconds), int(number or 0)
