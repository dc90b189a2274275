# fleet: records that are refused when anything is odd, quotas, and two members on a real Redis.
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from pyfilter.addresses import Network
from pyfilter.daemon.sharing import read_key
from pyfilter.errors import FleetError
from pyfilter.fleet.allowances import Allowances
from pyfilter.fleet.limits import BURST, Limits
from pyfilter.fleet.link import open_client
from pyfilter.fleet.record import LARGEST, Record, meant, seal, told, unseal
from pyfilter.model import Allowance, Ban, Release
from small_fleet import KEY, Server, fleet, real_redis, until

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
    with real_redis(tmp_path_factory.mktemp("redis")) as url:
        yield url


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


async def test_a_shared_allowance_reaches_those_who_come_later_and_ends_everywhere(
    redis: str,
) -> None:
    one, two, late = (Server(name, redis, "g:") for name in ("web01", "web02", "web03"))
    client = open_client(redis)
    async with fleet(one, two):
        await until(lambda: one.member.health == two.member.health == "ok")
        one.member.share(Allowance(X, None, "the office"), allowed=True)
        await until(lambda: X in two.allowed)
        assert (two.allowed[X].note, two.allowed[X].by) == ("the office", "web01")
        await client.delete("g:{fleet}:allowed", "g:{fleet}:epoch")
    async with fleet(two, late):  # who puts back what Redis lost
        await until(lambda: X in late.allowed)
        late.member.share(Allowance(X), allowed=False)
        await until(lambda: X not in two.allowed)
    async with fleet(one):
        await until(lambda: X not in one.allowed)
    await client.aclose()


def test_only_a_fleet_with_a_key_shares_narrow_allowances() -> None:
    with pytest.raises(FleetError, match="only a fleet with a key"):
        Server("web01", "unix:///x", "h:", b"").member.share(Allowance(X), allowed=True)
    with pytest.raises(FleetError, match="wider than /24"):
        Server("web01", "unix:///x", "h:").member.share(Allowance("10.0.0.0/8"), allowed=True)
    with pytest.raises(FleetError, match="malformed"):
        Server("web01", "unix:///x", "h:").member.share(Allowance("example.net"), allowed=True)


def test_what_is_allowed_is_kept_as_it_was_sealed() -> None:
    server = Server("web01", "unix:///x", "i:")
    server.member.share(Allowance(X), allowed=True)
    again = Allowances(server.ledge(), KEY, NOW)
    assert [record.subject for record, _ in again.lacking({}, NOW)] == [X]
    assert list(Allowances(server.ledge(), b"another", NOW).lacking({}, NOW)) == []
