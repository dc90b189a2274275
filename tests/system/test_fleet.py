# The fleet end to end: daemons with kernels of their own around a real Redis that fails in every way.
import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from msgspec.structs import replace

from pyfilter.fleet.record import Record, seal
from system.lab import eventually, need, run
from system.town import HUB, KEY, Redis, Server, Town, redis_server, servers, town

pytestmark = [pytest.mark.root, pytest.mark.timeout(180)]
PLAIN = f'redis = "redis://{HUB}:6379/0"'
BACK = 5.0  # seconds after which a fleet is equal again
STREAM, BANS = "pyfilter:{fleet}:stream", "pyfilter:{fleet}:bans"


@pytest.fixture(scope="module")
def place() -> Iterator[Town]:
    with town() as made:
        yield made


@pytest.fixture(scope="module")
def engine(place: Town, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    with redis_server(place.hub, tmp_path_factory.mktemp("redis")) as made:
        yield made


@pytest.fixture(scope="module")
def trio(
    place: Town, engine: Redis, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[Server]]:
    folder = tmp_path_factory.mktemp("fleet")
    with servers(place, folder, PLAIN, "web01", "web02", "web03") as made:
        yield made


def everywhere(fleet: list[Server], address: str, within: float = BACK) -> None:
    for one in fleet:
        eventually(lambda one=one: one.holds(address), f"{one.name} bans {address}", within)  # type: ignore[misc]


def nowhere(fleet: list[Server], address: str, within: float = BACK) -> None:
    for one in fleet:
        eventually(lambda one=one: not one.holds(address), f"{one.name} frees {address}", within)  # type: ignore[misc]


def test_one_servers_attacker_is_shut_out_by_all(place: Town, trio: list[Server]) -> None:
    attacker = place.newcomer()
    assert not any(place.silent(one, attacker) for one in trio)
    trio[0].fail(attacker)
    everywhere(trio, attacker, within=2)
    assert all(place.silent(one, attacker) for one in trio)
    ban = trio[2].bans()[attacker]
    assert (ban["origin"], ban["in_kernel"]) == ("web01", True)
    told = f"Banned {attacker} (5 sshd failures"
    eventually(lambda: told in trio[1].log.read_text(), "the ban is told")
    assert "from server web01" in trio[1].log.read_text()
    why = trio[1].command("why", attacker).stdout
    assert "web01" in why
    assert "sshd failures" in why
    assert trio[1].command("unban", attacker).returncode == 0
    nowhere(trio, attacker, within=2)
    assert not any(place.silent(one, attacker) for one in trio)


def test_a_local_unban_lifts_here_and_stays_so(place: Town, trio: list[Server]) -> None:
    attacker, *_, last = place.newcomer(), *trio
    trio[0].fail(attacker)
    everywhere(trio, attacker)
    assert last.command("unban", "--local", attacker).returncode == 0
    assert not last.holds(attacker)
    assert last.stop() == 0
    last.start()
    eventually(last.joined, "it joins again")
    assert [one.holds(attacker) for one in trio] == [True, True, False]


def test_a_server_that_was_off_catches_up_at_start(place: Town, trio: list[Server]) -> None:
    first, freed = place.newcomer(), place.newcomer()
    trio[0].fail(freed)
    everywhere(trio, freed)
    assert trio[2].stop() == 0
    trio[1].fail(first)
    everywhere(trio[:2], first)
    assert trio[0].command("unban", freed).returncode == 0
    trio[2].start()
    everywhere(trio, first)
    nowhere(trio, freed)


def test_bans_go_on_without_redis_and_are_equal_after_its_return(
    place: Town, trio: list[Server], engine: Redis
) -> None:
    before, *during = (place.newcomer() for _ in range(4))
    trio[0].fail(before)
    everywhere(trio, before)
    engine.kill()
    for one, attacker in zip(trio, during, strict=True):
        one.fail(attacker)
        eventually(lambda one=one, x=attacker: one.holds(x), "a local ban", within=2)  # type: ignore[misc]
    eventually(lambda: trio[1].fleet()["health"].startswith("unreachable"), "status tells")
    assert trio[1].command("unban", before).returncode == 0
    engine.start()
    deadline = time.monotonic() + BACK
    for attacker in during:
        everywhere(trio, attacker, deadline - time.monotonic())
    nowhere(trio, before, BACK)


def test_a_stopped_redis_holds_up_nothing(place: Town, trio: list[Server], engine: Redis) -> None:
    attacker = place.newcomer()
    assert engine.process is not None
    os.kill(engine.process.pid, signal.SIGSTOP)
    try:
        trio[0].fail(attacker)
        eventually(lambda: trio[0].holds(attacker), "a local ban", within=2)
        eventually(lambda: not trio[0].joined(), "status tells", within=15)
    finally:
        os.kill(engine.process.pid, signal.SIGCONT)
    everywhere(trio, attacker)


def test_what_a_flush_took_is_put_back_even_of_a_server_that_is_off(
    place: Town, trio: list[Server], engine: Redis
) -> None:
    attacker = place.newcomer()
    trio[0].fail(attacker)
    everywhere(trio, attacker)
    assert trio[0].stop() == 0
    with engine.client() as client:
        client.flushall()
        eventually(lambda: client.hexists(BANS, attacker), "it is put back", within=15)
        eventually(trio[1].joined, "all is well")
    trio[0].start()
    assert trio[1].command("unban", attacker).returncode == 0
    nowhere(trio, attacker)


@pytest.mark.parametrize("trouble", ["full", "a replica of nobody"])
def test_a_redis_that_takes_nothing_holds_up_nothing(
    place: Town, trio: list[Server], engine: Redis, trouble: str
) -> None:
    attacker = place.newcomer()
    with engine.client() as client:
        if trouble == "full":
            client.config_set("maxmemory", "1kb")
        else:
            client.replicaof("10.98.0.99", "1")
        trio[0].fail(attacker)
        eventually(lambda: trio[0].holds(attacker), "a local ban", within=2)
        eventually(lambda: trio[0].fleet()["health"].startswith("unreachable"), "status tells")
        client.config_set("maxmemory", "0")
        client.replicaof("NO", "ONE")
    everywhere(trio, attacker)


def test_five_hundred_bans_on_each_side_meet_when_redis_is_back(
    place: Town, trio: list[Server], engine: Redis
) -> None:
    engine.kill()
    sides = [{f"10.{side}.{n // 250}.{n % 250 + 1}" for n in range(500)} for side in (1, 2)]
    for one, side in zip(trio, sides, strict=False):
        for address in side:
            one.fail(address)
        eventually(lambda one=one, side=side: side <= set(one.elements()), "local bans", 20)  # type: ignore[misc]
    engine.start()
    deadline = time.monotonic() + BACK
    for one in trio:
        left = deadline - time.monotonic()
        eventually(lambda one=one: sides[0] | sides[1] <= set(one.elements()), "all", left)  # type: ignore[misc]
    assert trio[2].command("unban", "--all").returncode == 0
    gone = (sides[0] | sides[1]).isdisjoint
    for one in trio:
        eventually(lambda one=one: gone(one.elements()), "all are lifted", BACK)  # type: ignore[misc]


def resident(server: Server) -> int:
    """Return the bytes of memory that a daemon holds."""
    assert server.daemon is not None
    return 4096 * int(Path(f"/proc/{server.daemon.pid}/statm").read_text().split()[1])


def test_huge_records_cost_little_memory(trio: list[Server], engine: Redis) -> None:
    one = trio[0]
    eventually(one.joined, "all is well")
    before, refused = resident(one), sum(one.fleet()["refused"].values())
    with engine.client() as client:
        for number in range(60):
            client.xadd(STREAM, {"r": b"x" * 1_000_000})
            client.hset(BANS, f"huge{number}", b"ban 1.0 9e15 " + b"x" * 1_000_000)
        eventually(lambda: sum(one.fleet()["refused"].values()) >= refused + 60, "counted", 20)
        assert resident(one) - before <= 32 * 1024 * 1024
        assert one.stop() == 0
        one.start()
        eventually(one.joined, "it joins")
        assert not [name for name in client.hkeys(BANS) if name.startswith(b"huge")]
        client.delete(STREAM)
    assert resident(one) - before <= 32 * 1024 * 1024


def poison(own: str) -> list[tuple[bytes, str]]:
    """Return records that none may apply, and the address each asks to ban."""
    now = time.time()
    good = Record("ban", "evil", 0, "203.0.113.250", now, now + 600, "poison")
    key = bytes.fromhex(KEY)
    subjects = ["0.0.0.0/0", "203.0.0.0/8", "::/0", "2001:db8::/32", "127.0.0.1", "::1", own]
    subjects += ["224.0.0.1", "192.0.2.77", "::ffff:203.0.113.251", "010.0.0.1", "x", ""]
    subjects += ["255.255.255.255", "0.0.0.0", "169.254.1.1", HUB]
    numbered = [replace(good, subject=s, number=2**61 + i) for i, s in enumerate(subjects)]
    sealed = [(seal(one, key), one.subject) for one in numbered]
    wide = replace(good, kind="allow", subject="203.0.0.0/8", number=2**61 + 99)
    sealed += [(seal(wide, key), ""), (seal(replace(wide, subject="x"), b"x"), "")]
    sealed += [(seal(good, b""), good.subject), (seal(good, b"x" * 32), good.subject)]
    sealed += [(seal(replace(good, reason="y" * size), key), "") for size in (3000, 1_000_000)]
    return sealed + [(junk, "") for junk in (b"", b"{}", b"\xff" * 99, b'"server":"evil"', b"a b")]


def test_poisoned_records_change_nothing_and_are_counted(
    place: Town, trio: list[Server], engine: Redis
) -> None:
    one = trio[0]
    assert one.command("allow", "add", "192.0.2.77").returncode == 0
    before = sorted(one.elements())
    refused = one.fleet()["refused"].get("evil", 0)
    with engine.client() as client:
        for sealed, subject in poison(one.address):
            client.xadd(STREAM, {"r": sealed})
            client.hset(BANS, subject, b"ban 1.0 9e15 " + sealed)
        client.xadd(STREAM, {"other": "x"})
        client.hset(BANS, "z" * 300, "w")
        client.hset(BANS, "203.0.113.252", b"ban nan inf x")
    eventually(lambda: one.fleet()["refused"].get("evil", 0) >= refused + 20, "all are counted")
    assert sorted(one.elements()) == before
    assert one.stop() == 0
    one.start()  # which reads the poisoned snapshot
    eventually(one.joined, "it joins")
    assert sorted(one.elements()) == before
    good = place.newcomer()
    trio[1].fail(good)
    everywhere(trio, good)
    trio[1].fail("203.0.113.252")
    everywhere(trio, "203.0.113.252")


def test_a_record_that_is_sent_again_is_refused_after_a_restart_too(
    place: Town, trio: list[Server], engine: Redis
) -> None:
    attacker = place.newcomer()
    trio[0].fail(attacker)
    everywhere(trio, attacker)
    with engine.client() as client:
        [(_, fields)] = client.xrevrange(STREAM, count=1)
        eventually(lambda: trio[1].stop() == 0, "it stops")
        trio[1].start()
        eventually(trio[1].joined, "it joins")
        before = trio[1].fleet()["refused"].get("web01", 0)
        client.xadd(STREAM, fields)
    eventually(lambda: trio[1].fleet()["refused"].get("web01", 0) > before, "it is counted")


def test_a_wrong_password_is_told_and_local_bans_go_on(place: Town, tmp_path: Path) -> None:
    with redis_server(place.hub, tmp_path / "redis", "--requirepass", "right", port=6380):
        one = Server(
            place.host("alone"), tmp_path / "a", "alone", f'redis = "redis://:wrong@{HUB}:6380"'
        )
        try:
            one.start()
            eventually(lambda: "password" in one.fleet()["health"], "status tells")
            attacker = place.newcomer()
            one.fail(attacker)
            eventually(lambda: one.holds(attacker), "a local ban", within=2)
        finally:
            one.stop()


def test_a_sentinel_failover_is_followed(place: Town, tmp_path: Path) -> None:
    with ExitStack() as stack:
        first = stack.enter_context(redis_server(place.hub, tmp_path / "r1", port=6391))
        follow = ("--replicaof", f"{HUB} 6391", "--repl-diskless-sync-delay", "0")
        stack.enter_context(redis_server(place.hub, tmp_path / "r2", *follow, port=6392))
        config = tmp_path / "sentinel.conf"
        config.write_text(
            f"sentinel monitor town {HUB} 6391 1\nsentinel down-after-milliseconds town 1000\n"
            "sentinel failover-timeout town 3000\n"
        )
        watch = (str(config), "--sentinel")
        sentinel = stack.enter_context(redis_server(place.hub, tmp_path / "s", *watch, port=6393))
        with sentinel.client() as client:
            ask = ("SENTINEL", "REPLICAS", "town")
            eventually(lambda: client.execute_command(*ask), "the replica is known", within=30)
        fleet = f'sentinels = ["{HUB}:6393"]\nmaster = "town"'
        both = stack.enter_context(servers(place, tmp_path / "f", fleet, "sen01", "sen02"))
        before, after = place.newcomer(), place.newcomer()
        both[0].fail(before)
        everywhere(both, before)
        first.kill()
        both[0].fail(after)
        everywhere(both, after, within=30)
        assert both[1].command("unban", before).returncode == 0
        nowhere(both, before)


def test_a_cluster_of_three_shares_too(place: Town, tmp_path: Path) -> None:
    need("redis-cli")
    ports = (6394, 6395, 6396)
    with ExitStack() as stack:
        for port in ports:
            options = ("--cluster-enabled", "yes", "--cluster-announce-ip", HUB)
            stack.enter_context(redis_server(place.hub, tmp_path / str(port), *options, port=port))
        nodes = [f"{HUB}:{port}" for port in ports]
        create = ("redis-cli", "--cluster", "create", *nodes, "--cluster-yes")
        run(*place.hub.inside(*create), timeout=60)
        fleet = f'redis = "redis://{HUB}:6394"\ncluster = true'
        with servers(place, tmp_path / "f", fleet, "clu01", "clu02") as both:
            attacker = place.newcomer()
            both[0].fail(attacker)
            everywhere(both, attacker)
            assert both[1].command("unban", attacker).returncode == 0
            nowhere(both, attacker)


def original(server: Server) -> None:
    """Put a config.json in the original's shape in place of the server's configuration."""
    folder = server.folder
    server.config = folder / "config.json"
    sync = {"active": True, "name": server.name, "check_time": 600}
    shared = {"host": HUB, "password": None, "database": 1, "sync_bans": sync}
    rules = {"ssh": {"log_files": str(server.auth)}}
    settings = {"database": "redis", "failed_attempts": 5, "request_time": 5, "rules": rules}
    document = {"settings": settings, "redis": shared, "logging": {"active": False}}
    document |= {"state_dir": f"{folder}/state", "runtime_dir": f"{folder}/run"}
    server.config.write_text(json.dumps(document))


def test_a_configuration_of_the_original_shares_bans_by_redis(
    place: Town, engine: Redis, tmp_path: Path
) -> None:
    with ExitStack() as stack:
        both = [Server(place.host(one), tmp_path / one, one, "") for one in ("old01", "old02")]
        for one in both:
            original(one)
            stack.callback(one.stop)
            one.start()
            eventually(one.joined, "it joins")
        attacker = place.newcomer()
        both[0].fail(attacker)
        everywhere(both, attacker)
        told = f"Found IP: {attacker} from server: old01."
        eventually(lambda: told in both[1].log.read_text(), "the ban is told")


def certificates(folder: Path) -> None:
    """Make an authority of our own and a certificate for the hub."""
    folder.mkdir()
    authority = ("-keyout", f"{folder}/ca.key", "-out", f"{folder}/ca.pem")
    new = ("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj")
    run(*new, "/CN=town", *authority, "-addext", "keyUsage=critical,keyCertSign,cRLSign")
    signed = ("-CA", f"{folder}/ca.pem", "-CAkey", f"{folder}/ca.key", "-addext")
    own = ("-keyout", f"{folder}/r.key", "-out", f"{folder}/r.pem")
    usage = ("-addext", "basicConstraints=critical,CA:FALSE")
    run(*new, "/CN=redis", *own, *signed, f"subjectAltName=IP:{HUB}", *usage)


def test_over_tls_with_an_authority_of_ones_own(place: Town, tmp_path: Path) -> None:
    need("openssl")
    keys = tmp_path / "tls"
    certificates(keys)
    options = ["--tls-port", "6397", "--tls-cert-file", f"{keys}/r.pem", "--tls-key-file"]
    options += [f"{keys}/r.key", "--tls-ca-cert-file", f"{keys}/ca.pem", "--tls-auth-clients", "no"]
    users = tmp_path / "users.acl"
    users.write_text("user web on >secret ~pyfilter:* +@all -@dangerous -@admin\n")
    options += ["--aclfile", str(users)]
    fleet = f'redis = "rediss://web:secret@{HUB}:6397/0"\nca_file = "{keys}/ca.pem"'
    with (
        redis_server(place.hub, tmp_path / "redis", *options, port=0),
        servers(place, tmp_path / "f", fleet, "tls01", "tls02") as both,
    ):
        attacker = place.newcomer()
        both[0].fail(attacker)
        everywhere(both, attacker)


def test_failures_are_summed_over_the_fleet(place: Town, engine: Redis, tmp_path: Path) -> None:
    fleet = f'redis = "redis://{HUB}:6379/2"\ncount = true'
    with servers(place, tmp_path / "f", fleet, "sum01", "sum02", "sum03") as three:
        attacker, friend = place.newcomer(), place.newcomer()
        assert three[2].command("allow", "add", friend).returncode == 0
        for address in (attacker, friend):
            three[0].fail(address, times=2)
            three[1].fail(address, times=2)
        for address in (attacker, friend):
            three[2].fail(address, times=1)
        everywhere(three, attacker)
        assert friend not in three[2].bans()
        shown = three[0].command("why", attacker).stdout
        assert "counted by sum0" in shown


def test_an_allowance_for_the_fleet_protects_everywhere(place: Town, trio: list[Server]) -> None:
    friend = place.newcomer()
    trio[0].fail(friend)
    everywhere(trio, friend)
    added = trio[1].command("allow", "add", friend, "--fleet", "--note", "the office")
    assert added.returncode == 0, added.stderr
    for one in trio:
        eventually(lambda one=one: friend not in one.bans(), f"{one.name} lifts it")  # type: ignore[misc]
    trio[2].fail(friend)
    other = place.newcomer()
    trio[2].fail(other)
    everywhere(trio, other)
    assert not any(friend in one.bans() for one in trio)
    assert trio[2].command("allow", "remove", friend, "--fleet").returncode == 0
    eventually(lambda: friend not in trio[0].command("allow", "list").stdout, "it ends")
