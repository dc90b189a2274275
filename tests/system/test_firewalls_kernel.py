# Firewalls measured in packets and in the kernel's own listing: two namespaces and a wire between.
import shutil
from collections.abc import Iterator
from contextlib import closing

import pytest

import netspace
from netspace import ATTACKER, ATTACKER6, FRIEND, NOW, PATIENCE, SERVER6, SHORT, Wire, ban, release
from pyfilter.addresses import network
from pyfilter.firewalls import AnyFirewall, Iptables, Nftables, Observe
from pyfilter.interfaces import Firewall

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(not netspace.may_make(), reason="needs root"),
    pytest.mark.skipif(shutil.which("nft") is None, reason="needs nft"),
    pytest.mark.skipif(shutil.which("ipset") is None, reason="needs iptables and ipset"),
]
BACKENDS: dict[str, AnyFirewall] = {
    "nftables": Nftables(),
    "nftables-reject": Nftables(action="reject"),
    "iptables": Iptables(),
    "iptables-reject": Iptables(action="reject"),
    "iptables-plain": Iptables(ipset=False),
    "iptables-plain-reject": Iptables(ipset=False, action="reject"),
}


@pytest.fixture(params=BACKENDS)
def settings(request: pytest.FixtureRequest) -> AnyFirewall:
    return BACKENDS[request.param]


@pytest.fixture
def firewall(wire: Wire, settings: AnyFirewall) -> Iterator[Firewall]:
    opened = settings.open()
    opened.open()
    yield opened
    opened.close()


def action(settings: AnyFirewall) -> str:
    assert not isinstance(settings, Observe)
    return settings.action


@pytest.mark.parametrize("subject", [ATTACKER, "10.99.0.0/24", "10.99.0.2/31", "10.96.0.0/11"])
def test_packets_of_a_banned_subject_stop_and_are_counted(
    wire: Wire, firewall: Firewall, subject: str
) -> None:
    assert wire.reached()
    firewall.apply([ban(subject)], NOW)
    assert wire.stopped()
    assert firewall.blocked()[network(subject)].packets >= 1
    firewall.apply([release(subject)], NOW)
    assert wire.reached()


@pytest.mark.parametrize("subject", [ATTACKER6, "fd99:0:0:1::/64", "fd99::/48"])
def test_ipv6_is_stopped_too(wire: Wire, firewall: Firewall, subject: str) -> None:
    assert wire.reached(ATTACKER6, SERVER6)
    firewall.apply([ban(subject)], NOW)
    assert wire.stopped(ATTACKER6, SERVER6)
    assert wire.reached()
    assert firewall.blocked()[network(subject)].packets >= 1


def test_who_is_not_banned_goes_on(wire: Wire, firewall: Firewall) -> None:
    firewall.apply([ban(ATTACKER), ban("10.99.1.0/24")], NOW)
    assert wire.reached(FRIEND)
    assert wire.stopped(ATTACKER)


def test_the_protected_are_let_through_whatever_is_banned(wire: Wire, firewall: Firewall) -> None:
    firewall.protect([network(FRIEND), network("10.99.0.0/30")])
    firewall.apply([ban("10.99.0.0/24"), ban(FRIEND), ban(ATTACKER)], NOW)
    assert wire.reached(FRIEND)
    firewall.protect([network(FRIEND)])
    assert wire.reached(FRIEND)
    assert wire.stopped(ATTACKER)


def test_an_established_connection_is_cut(
    wire: Wire, firewall: Firewall, settings: AnyFirewall
) -> None:
    with closing(wire.connect()) as connection:
        assert connection.send(b"before") == 6
        firewall.apply([ban(ATTACKER)], NOW)
        connection.send(b"after")
        assert firewall.blocked()[network(ATTACKER)].packets >= 1
        if action(settings) == "reject":
            with pytest.raises(ConnectionError):
                connection.recv(1)


def test_a_drop_is_silent_and_a_reject_answers_at_once(
    wire: Wire, firewall: Firewall, settings: AnyFirewall
) -> None:
    firewall.apply([ban(ATTACKER)], NOW)
    silent = action(settings) == "drop"
    with pytest.raises(TimeoutError if silent else ConnectionRefusedError):
        wire.connect(seconds=SHORT if silent else PATIENCE)


@pytest.mark.parametrize("order", [("10.99.0.0/24", ATTACKER), (ATTACKER, "10.99.0.0/24")])
def test_what_is_still_banned_stays_blocked_whichever_is_released_first(
    wire: Wire, firewall: Firewall, order: tuple[str, str]
) -> None:
    firewall.apply([ban("10.99.0.0/16"), *map(ban, order)], NOW)
    firewall.apply([release(order[0])], NOW)
    assert wire.stopped()
    firewall.apply([release(order[1])], NOW)
    assert wire.stopped()
    firewall.apply([release("10.99.0.0/16")], NOW)
    assert wire.reached()


def test_a_ban_ends_by_itself_in_the_kernel(
    wire: Wire, firewall: Firewall, settings: AnyFirewall
) -> None:
    if isinstance(settings, Iptables) and not settings.ipset:
        pytest.skip("without ipset the daemon ends bans")
    firewall.apply([ban(ATTACKER, 0.8)], NOW)
    firewall.close()
    assert wire.stopped()
    assert wire.reached()
