# One server as a member of the fleet: publishes its decisions, follows those of the others.
import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from typing import Any

from msgspec import Struct

from pyfilter.addresses import Network
from pyfilter.errors import AddressError, FleetError
from pyfilter.fleet.limits import Limits
from pyfilter.fleet.record import Record, meant, told, unseal
from pyfilter.fleet.store import Store
from pyfilter.interfaces import Clock
from pyfilter.model import Ban, Decision, Release

_log = logging.getLogger(__name__)
HEARTBEAT = 2.0  # seconds; a Redis that is gone, stopped or flushed is noticed by then
_AGAIN = 1.0  # seconds until Redis is tried again
_MOST_WAITING = 10_000  # decisions; more than that are left to the next comparison
_BATCH = 500
_SILENT = 60.0  # seconds between two log lines about the same trouble
_ELSEWHERE = {"expired", "fleet", "local"}  # causes of releases that are nobody else's


class Seat(Struct, frozen=True):
    """What a member needs of its server."""

    name: str
    key: bytes
    open_store: Callable[[], Store]
    apply: Callable[[Sequence[Decision]], object]
    bans: Callable[[], Sequence[Ban]]
    standing: Callable[[Network], Ban | None]
    released_at: Callable[[Network], float]  # when a subject was last released here; 0: never
    clock: Clock
    check_time: float = 0.0  # seconds between comparisons; 0: only when there is a reason


class Member:
    """Shares bans and releases; a notifier that never waits for Redis."""

    name = "fleet"

    def __init__(self, seat: Seat, limits: Limits) -> None:
        self._seat, self._limits = seat, limits
        self._waiting: list[Decision] = []
        self._wake = asyncio.Event()
        self._behind = False  # more was decided than `_waiting` holds
        self._epoch = ""
        self._servers: dict[str, float] = {}
        self._complained = ("", 0.0)
        self._number = 0
        self._compared = 0.0
        self.health = "connecting"

    def tell(self, decision: Decision) -> None:
        """Take a decision of this server to be published soon."""
        if not self._ours(decision):
            return
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
        now = self._seat.clock()
        return {
            "health": self.health,
            "name": self._seat.name,
            "signed": bool(self._seat.key),
            "waiting": len(self._waiting),
            "servers": [
                {"name": name, "last_seen": at, "lag": max(0.0, round(now - at, 1))}
                for name, at in sorted(self._servers.items())
            ],
            "refused": dict(self._limits.refused),
        }

    async def run(self) -> None:
        """Stay connected until cancelled; whatever Redis does, only the log hears of it."""
        from redis.exceptions import RedisError  # noqa: PLC0415 - only a fleet needs it

        while True:
            store = self._seat.open_store()
            try:
                await self._session(store)
            except* (RedisError, OSError, TimeoutError) as group:
                self._complain(_innermost(group))
            finally:
                await _closed(store)
            if _leaving():
                raise asyncio.CancelledError
            await asyncio.sleep(_AGAIN)

    async def _session(self, store: Store) -> None:
        place = await store.newest()
        await self._compare(store)
        self.health = "ok"
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow(store, place))
            tasks.create_task(self._publish(store))
            tasks.create_task(self._beat(store))

    async def _follow(self, store: Store, place: bytes) -> None:
        while not _leaving():
            news = await store.news(place)
            if news:
                place = news[-1][0]
                self._take([sealed for _, sealed in news], fresh=True)

    async def _publish(self, store: Store) -> None:
        while not _leaving():
            await self._wake.wait()
            self._wake.clear()
            while batch := self._waiting[:_BATCH]:
                await store.put(self._records(batch))
                del self._waiting[: len(batch)]
            if self._behind:
                self._behind = False
                await self._compare(store)

    async def _beat(self, store: Store) -> None:
        while not _leaving():
            epoch, self._servers = await store.present(self._seat.name, self._seat.clock())
            if self._epoch and epoch != self._epoch:
                await self._compare(store)
            self._epoch = epoch
            if self._seat.check_time and time.monotonic() - self._compared > self._seat.check_time:
                await self._compare(store)
            await asyncio.sleep(HEARTBEAT)

    async def _compare(self, store: Store) -> None:
        """Make the snapshot and this server hold the same."""
        held: dict[str, Record] = {}
        async for page in store.snapshot():
            held.update((record.subject, record) for record in self._take(page, fresh=False))
        missing: list[Decision] = [
            ban
            for ban in self._seat.bans()
            if self._ours(ban) and _lacks(held.get(ban.subject), ban)
        ]
        for text, record in held.items():
            subject = Network(text)
            if record.kind == "ban" and (at := self._seat.released_at(subject)) > record.at:
                missing.append(Release(subject, at, "operator"))
        for start in range(0, len(missing), _BATCH):
            await store.put(self._records(missing[start : start + _BATCH]))
        await store.tidy(self._seat.clock())
        self._compared = time.monotonic()

    def _records(self, decisions: Sequence[Decision]) -> list[Record]:
        records = []
        for decision in decisions:
            self._number = max(self._number + 1, time.time_ns() // 1000)
            records.append(told(decision, self._seat.name, self._number))
        return records

    def _take(self, sealed: Sequence[bytes], *, fresh: bool) -> list[Record]:
        """Apply what others sent, after every check; return all that was readable."""
        now, read, decisions = self._seat.clock(), [], []
        for one in sealed:
            try:
                record = unseal(one, self._seat.key, now)
                read.append(record)
                if record.server == self._seat.name:
                    continue
                decision = meant(self._limits.admit(record, now, fresh=fresh))
            except (FleetError, AddressError) as error:
                self._limits.refused[_sender(one)] += 1
                self._complain(error)
                continue
            if self._is_news(decision, now):
                decisions.append(decision)
        if decisions:
            self._seat.apply(decisions)
        return read

    def _is_news(self, decision: Decision, now: float) -> bool:
        known = self._seat.standing(decision.subject)
        if isinstance(decision, Release):
            return known is not None and known.since <= decision.at
        if known and (known.until is None or (decision.until and decision.until <= known.until)):
            return False
        over = decision.until is not None and decision.until <= now
        return not over and self._seat.released_at(decision.subject) < decision.since

    def _complain(self, error: BaseException) -> None:
        """Say what is wrong, each thing once a minute at most."""
        text = str(error) or type(error).__name__
        if not isinstance(error, FleetError | AddressError):
            self.health = f"unreachable: {text}"
        said, at = self._complained
        if said != text or time.monotonic() - at > _SILENT:
            self._complained = (text, time.monotonic())
            _log.warning("Fleet: %s", text)


def _leaving() -> bool:
    """Say whether this task was cancelled, even if a library on the way has swallowed that."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _lacks(held: Record | None, ban: Ban) -> bool:
    if held is None:
        return True
    if held.kind == "release":
        return held.at < ban.since
    return (ban.until is None and held.until is not None) or (ban.until or 0) > held.end()


def _sender(sealed: bytes) -> str:
    """Return the server that a refused record names, as far as it can be read."""
    _, _, rest = sealed.partition(b'"server":"')
    return rest.partition(b'"')[0][:64].decode("utf-8", "replace") or "unknown"


def _innermost(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


async def _closed(store: Store) -> None:
    try:
        async with asyncio.timeout(1):
            await store.close()
    except Exception as error:  # noqa: BLE001 - a connection that is broken may break in any way
        _log.debug("Fleet: closing: %s", error)
