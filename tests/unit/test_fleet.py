# fleet: records that are refused when anything is odd, quotas, and two members on a real Redis.
import asyncio
import contextlib
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path

import pytest
from msgspec.structs import replace

from pyfilter.addresses import Network
from pyfilter.daemon.sharing import read_key
from pyfilter.errors import FleetError
from pyfilter.fleet.limits import BURST, Limits
from pyfilter.fleet.link import open_client
from pyfilter.fleet.member import Member
from pyfilter.fleet.record import LARGEST, Record, meant, seal, told, unseal
from pyfilter.fleet.seat import Seat
from pyfilter.fleet.store import Store
from pyfilter.model import Ban, Decision, Release

KEY = b"k" * 32
NOW = 1_800_000_000.0
X, Y = Network("203.0.113.13"), Network("2001:db8:0:1::/64")
BAN = Ban(X, NOW, NOW + 600, "5 sshd failures", "sshd", 2, "web01")


def record(**changes: object) -> Record:
    return replace(told(BAN, "web01", 7), **changes)


def test_a_decision_survives_the_journey() -> None:
    assert meant(unseal(seal(record(), KEY), KEY, NOW)) == BAN
    release = told(Release(Y, NOW, "operator", by="anna"), "web02", 8)
    assert meant(unseal(seal(release, KEY), KEY, NOW)) == Release(Y, NOW, "fleet", "web02")


@pytest.mark.parametrize(
    ("sealed", "reason"),
    [
        (seal(record(), b"another"), "not signed"),
        (seal(record(), b""), "not signed"),
        (seal(record(), KEY).replace(b"203.0.113.13", b"203.0.113.14"), "not signed"),
        (seal(record(reason="x" * LARGEST), KEY), "too long"),
        (seal(record(subject="0.0.0.0/0"), KEY), "wider than /24"),
        (seal(record(subject="2001:db8::/32"), KEY), "wider than /48"),
        (seal(record(subject="::ffff:203.0.113.13"), KEY), "canonical"),
        (seal(record(subject="010.0.0.1"), KEY), "malformed"),
        (seal(record(at=NOW + 3600), KEY), "in the future"),
        (b"", "not signed"),
    ],
)
def test_an_odd_record_is_refused(sealed: bytes, reason: str) -> None:
    with pytest.raises(FleetError, match=reason):
        unseal(sealed, KEY, NOW)


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b'{"kind":"ban","x":1}', b"\xff"])
def test_without_a_key_a_malformed_record_is_refused_all_the_same(body: bytes) -> None:
    with pytest.raises(FleetError, match="malformed"):
        unseal(b" " + body, b"", NOW)


def test_a_replayed_record_is_refused() -> None:
    limits = Limits(None)
    limits.admit(record(), NOW, fresh=True)
    with pytest.raises(FleetError, match="replayed"):
        limits.admit(record(), NOW, fresh=True)
    limits.admit(record(number=8), NOW, fresh=True)
    limits.admit(record(), NOW, fresh=False)


def test_a_peer_has_a_quota_that_fills_again() -> None:
    limits = Limits(None)
    for _ in range(int(BURST)):
        limits.admit(record(), NOW, fresh=False)
    with pytest.raises(FleetError, match="more records than it may"):
        limits.admit(record(), NOW, fresh=False)
    limits.admit(record(server="web02"), NOW, fresh=False)
    limits.admit(record(), NOW + 1, fresh=False)


@pytest.mark.parametrize("until", [None, NOW + 10**9])
def test_durations_are_capped_by_local_policy(until: float | None) -> None:
    assert Limits(3600.0).admit(record(until=until), NOW, fresh=True).until == NOW + 3600
    assert Limits(None).admit(record(until=until), NOW, fresh=True).until == until


def test_a_key_is_read_from_its_file(tmp_path: Path) -> None:
    file = tmp_path / "fleet.key"
    file.write_text("ab" * 32 + "\n")
    assert read_key(str(file)) == b"\xab" * 32
    assert read_key("") == b""
    for text, reason in (("xyz", "64 hex digits"), ("ab", "32 bytes")):
        file.write_text(text)
        with pytest.raises(FleetError, match=reason):
            read_key(str(file))
    with pytest.raises(FleetError, match="No such file"):
        read_key(str(tmp_path / "none"))


@pytest.mark.parametrize(
    ("url", "sentinels"), [("http://x", ()), ("", ("10.0.0.1",)), ("", ("10.0.0.1:x",))]
)
def test_a_wrong_place_is_refused(url: str, sentinels: tuple[str, ...]) -> None:
    with pytest.raises(FleetError):
        open_client(url, sentinels=sentinels, master="m")


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if not shutil.which("redis-server"):
        pytest.skip("redis-server is not installed")
    folder = tmp_path_factory.mktemp("redis")
    place = folder / "r.sock"
    command = ["redis-server", "--port", "0", "--unixsocket", str(place), "--save", ""]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL) as server:
        deadline = time.monotonic() + 10
        while not place.exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        yield f"unix://{place}"
        server.terminate()


class Server:
    """A member with a dict in place of an enforcer's bans."""

    def __init__(self, name: str, url: str, prefix: str, key: bytes = KEY) -> None:
        self.bans: dict[str, Ban] = {}
        self.released: dict[str, float] = {}
        self.name = name
        self.seat = Seat(
            name=name,
            key=key,
            open_store=lambda: Store(open_client(url), open_client(url, patient=True), prefix, key),
            apply=self.take,
            bans=lambda: list(self.bans.values()),
            standing=self.bans.get,
            released_at=lambda subject: self.released.get(subject, 0.0),
            clock=time.time,
        )
        self.member = Member(self.seat, Limits(None))
        self.task: asyncio.Task[None] | None = None

    def take(self, decisions: Sequence[Decision]) -> None:
        for decision in decisions:
            if isinstance(decision, Ban):
                self.bans[decision.subject] = decision
            else:
                self.bans.pop(decision.subject, None)
                self.released[decision.subject] = decision.at
            self.member.tell(decision)

    def ban(self, subject: Network) -> None:
        now = time.time()
        self.take([Ban(subject, now, now + 600, "5 failures", "sshd", origin=self.name)])

    def release(self, subject: Network) -> None:
        self.take([Release(subject, time.time(), "operator")])

    def start(self) -> None:
        self.task = asyncio.create_task(self.member.run())

    async def stop(self) -> None:
        if self.task:
            self.task.cancel()
            await asyncio.gather(self.task, return_exceptions=True)


@contextlib.asynccontextmanager
async def fleet(*servers: Server) -> AsyncIterator[None]:
    for server in servers:
        server.start()
    try:
        yield
    finally:
        for server in servers:
            await server.stop()


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(8):
        while not true():
            await asyncio.sleep(0.01)


async def test_bans_and_releases_reach_the_other_server(redis: str) -> None:
    one, two = (Server(name, redis, "a:") for name in ("web01", "web02"))
    async with fleet(one, two):
        await until(lambda: one.member.health == two.member.health == "ok")
        one.ban(X)
        await until(lambda: X in two.bans)
        assert two.bans[X].origin == "web01"
        two.release(X)
        await until(lambda: X not in one.bans)


async def test_a_server_that_was_off_catches_up(redis: str) -> None:
    one, two = (Server(name, redis, "b:") for name in ("web01", "web02"))
    two.ban(Y)
    async with fleet(one):
        one.ban(X)
        await until(lambda: not one.member.state()["waiting"] and one.member.health == "ok")
    async with fleet(two):
        await until(lambda: X in two.bans)
    async with fleet(one):
        await until(lambda: Y in one.bans)


async def test_a_release_made_while_redis_was_away_lifts_the_ban_everywhere(redis: str) -> None:
    one, two = (Server(name, redis, "c:") for name in ("web01", "web02"))
    async with fleet(one, two):
        await until(lambda: one.member.health == two.member.health == "ok")
        one.ban(X)
        await until(lambda: X in two.bans)
    one.release(X)
    async with fleet(one, two):
        await until(lambda: X not in two.bans)


async def test_what_a_flushed_redis_lost_is_put_back(redis: str) -> None:
    one, two = (Server(name, redis, "d:") for name in ("web01", "web02"))
    client = open_client(redis)
    async with fleet(one):
        one.ban(X)
        await until(lambda: one.member.health == "ok" and not one.member.state()["waiting"])
        await client.flushall()
        async with fleet(two):
            await until(lambda: X in two.bans)
    await client.aclose()


async def test_a_stranger_without_the_key_is_refused_and_counted(redis: str) -> None:
    one, stranger = Server("web01", redis, "e:"), Server("evil", redis, "e:", b"x" * 32)
    async with fleet(one, stranger):
        await until(lambda: one.member.health == stranger.member.health == "ok")
        stranger.ban(X)
        await until(lambda: one.member.state()["refused"].get("evil", 0) > 0)
        assert one.bans == {}


async def test_without_redis_the_member_waits_and_says_so(tmp_path: Path) -> None:
    one = Server("web01", f"unix://{tmp_path}/none.sock", "f:")
    async with fleet(one):
        one.ban(X)
        await until(lambda: one.member.health.startswith("unreachable"))
        assert one.member.state()["waiting"] == 1
