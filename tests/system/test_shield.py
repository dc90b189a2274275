# The shield end to end: a real sshd, real guesses, real packets, the kernel's own word.
import signal
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from system.lab import SERVER_V4, SERVER_V6, Lab, Wire, eventually, laboratory
from system.servers import AUTH_LOG, Logging, guess_often, sshd
from system.shield import Shield, shield

pytestmark = pytest.mark.root
GUESTS = count(13)
LOGGINGS: tuple[Logging, ...] = ("traditional", "rfc3339", "journal")


def newcomer(lab: Lab) -> Wire:
    """Return a guest whose addresses nobody used before."""
    number = next(GUESTS)
    return lab.guest(f"guest{number}", (f"203.0.113.{number}",), (f"2001:db8:{number}::13",))


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with laboratory(tmp_path_factory.mktemp("shield") / "lab") as made, sshd(made, "rfc3339"):
        yield made


@pytest.fixture
def guard(lab: Lab, tmp_path: Path) -> Iterator[Shield]:
    lab.server.path(AUTH_LOG).write_text("")  # what others did before is not caught up on
    with shield(lab.server, tmp_path / "pyfilter") as made:
        yield made
    lab.server.run("nft", "flush", "ruleset")


def attack(guard: Shield, wire: Wire, target: str = SERVER_V4) -> None:
    """Guess five times and wait until the packets stop."""
    guess_often(wire, target, 5)
    eventually(lambda: guard.blocks(wire, target), "the attacker's packets stop", within=5)


@pytest.mark.parametrize("logging", LOGGINGS)
def test_the_fifth_failure_shuts_the_attacker_out_and_nobody_else(
    tmp_path: Path, logging: Logging
) -> None:
    with laboratory(tmp_path / "lab") as lab, sshd(lab, logging) as server:
        attacker, friend = newcomer(lab), newcomer(lab)
        with shield(server, tmp_path / "pyfilter") as guard:
            guess_often(attacker, SERVER_V4, 4)
            assert attacker.reaches(SERVER_V4) == "connected"
            guess_often(attacker, SERVER_V4, 1)
            eventually(lambda: guard.blocks(attacker, SERVER_V4), "the packets stop", within=5)
            assert friend.reaches(SERVER_V4) == "connected"
            ban = guard.bans()[attacker.v4[0]]
            assert ban["in_kernel"] is True
            assert ban["packets"] >= 1
            assert ban["rule"] == "sshd"


def test_over_ipv6_the_network_of_the_attacker_is_shut_out(lab: Lab, guard: Shield) -> None:
    attacker, friend = newcomer(lab), newcomer(lab)
    attack(guard, attacker, SERVER_V6)
    assert friend.reaches(SERVER_V6) == "connected"
    assert attacker.reaches(SERVER_V4) == "connected"
    network = attacker.v6[0].replace("::13", "::/64")
    assert guard.bans()[network]["in_kernel"] is True
    assert guard.bans()[network]["packets"] >= 1


@pytest.mark.parametrize("target", [SERVER_V4, SERVER_V6])
def test_unban_lets_the_address_in_again(lab: Lab, guard: Shield, target: str) -> None:
    attacker = newcomer(lab)
    attack(guard, attacker, target)
    address = (attacker.v6 if ":" in target else attacker.v4)[0]
    lifted = guard.command("unban", address)
    assert lifted.returncode == 0, lifted.stderr
    assert attacker.reaches(target) == "connected"
    assert guard.bans() == {}


def test_why_shows_the_lines_that_led_to_a_ban(lab: Lab, guard: Shield) -> None:
    attacker = newcomer(lab)
    attack(guard, attacker)
    told = guard.command("why", attacker.v4[0])
    assert told.returncode == 0, told.stderr
    assert told.stdout.count("Failed password for alice") >= 5


def test_a_flushed_ruleset_is_back_within_a_second(lab: Lab, guard: Shield) -> None:
    attacker = newcomer(lab)
    attack(guard, attacker)
    lab.server.run("nft", "flush", "ruleset")
    eventually(lambda: attacker.v4[0] in guard.elements(), "the ban is back", within=1)
    assert guard.blocks(attacker, SERVER_V4)


def test_other_peoples_rules_stay_as_they_are(lab: Lab, guard: Shield) -> None:
    rules = (
        "table ip theirs { chain input { type filter hook input priority 0; tcp dport 9 drop; }; }"
    )
    lab.server.run("nft", rules)
    before = lab.server.run("nft", "list", "table", "ip", "theirs")
    attack(guard, newcomer(lab))
    assert guard.stop() == 0
    assert lab.server.run("nft", "list", "table", "ip", "theirs") == before


def test_a_killed_daemon_finds_its_bans_again_and_none_double(lab: Lab, guard: Shield) -> None:
    attackers = [newcomer(lab), newcomer(lab)]
    for attacker in attackers:
        attack(guard, attacker)
    guard.stop(signal.SIGKILL)
    assert all(guard.blocks(attacker, SERVER_V4) for attacker in attackers)
    guard.start()
    held = guard.elements()
    addresses = {attacker.v4[0] for attacker in attackers}
    assert sorted(element for element in held if element in addresses) == sorted(addresses)
    bans = guard.bans()
    assert all(bans[address]["in_kernel"] for address in addresses)


def test_without_the_daemon_a_ban_ends_by_itself(lab: Lab, tmp_path: Path) -> None:
    attacker = newcomer(lab)
    with shield(lab.server, tmp_path / "pyfilter", bantime="3s") as guard:
        attack(guard, attacker)
        guard.stop(signal.SIGKILL)
        assert guard.elements()
        eventually(lambda: attacker.reaches(SERVER_V4) == "connected", "the ban ends", within=8)
    lab.server.run("nft", "flush", "ruleset")


def test_a_stopped_daemon_goes_within_two_seconds_and_its_bans_stay(
    lab: Lab, guard: Shield
) -> None:
    attacker = newcomer(lab)
    attack(guard, attacker)
    assert guard.stop(signal.SIGTERM, within=2) == 0
    assert guard.blocks(attacker, SERVER_V4)
    assert attacker.v4[0] in guard.elements()


def test_an_idle_daemon_is_small(guard: Shield) -> None:
    assert guard.daemon is not None
    status = Path(f"/proc/{guard.daemon.pid}/status").read_text()
    resident = int(status.partition("VmRSS:")[2].split()[0])
    assert resident <= 60 * 1024, status
