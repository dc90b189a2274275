# protection: who must never be banned, and why.
from pathlib import Path

import pytest

from pyfilter.addresses import Network, address
from pyfilter.model import Allowance, Event
from pyfilter.protection import Protection, Shield, sessions
from pyfilter.protection.sessions import Sessions
from pyfilter.protection.shields import collapse
from pyfilter.protection.surroundings import connections, logged_in, surroundings
from reading import descriptors

TCP = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0A640A0A:0016 0D7100CB:C350 01 00000000:00000000 00:00000000 00000000     0        0 1
   1: 0A640A0A:0016 0E7100CB:C351 06 00000000:00000000 00:00000000 00000000     0        0 1
"""
TCP6 = """\
  sl  local_address rem_address st
   0: B80D0120000000000000000001000000:0016 B80D0120000000000000000005000000:C350 01 0 0 0
   1: 0000000000000000FFFF00000A640A0A:0016 0000000000000000FFFF00000D7100CB:C352 01 0 0 0
"""


def proc_net(folder: Path) -> Path:
    (folder / "fib_trie").write_text(
        "Local:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 198.51.100.2\n        /32 host LOCAL\n"
        "     |-- 198.51.100.255\n        /32 link BROADCAST\n"
    )
    (folder / "if_inet6").write_text("20010db8000000000000000000000002 02 40 00 80     eth0\n")
    (folder / "route").write_text(
        "Iface\tDestination\tGateway \tFlags\teth0\neth0\t00000000\t016433C6\t0003\t0\t0\t0\n"
        "eth0\t006433C6\t00000000\t0001\t0\t0\t0\n"
    )
    (folder / "ipv6_route").write_text(
        f"{'0' * 32} 00 {'0' * 32} 00 20010db8000000000000000000000001 00000400 1 0 00000003 eth0\n"
    )
    (folder / "tcp").write_text(TCP)
    (folder / "tcp6").write_text(TCP6)
    return folder


@pytest.mark.parametrize(
    "subject",
    [
        "127.0.0.1", "0.0.0.0", "0.0.0.0/0", "169.254.3.4", "224.0.0.1", "255.255.255.255",
        "::", "::1", "fe80::1", "ff02::1", "::/0", "fe80::/64",
    ],
)  # fmt: skip
def test_addresses_that_no_peer_can_have_are_firmly_protected(subject: str) -> None:
    shield = Protection().shield(Network(subject))
    assert shield is not None
    assert shield.firm


def test_an_entry_protects_hosts_in_it_and_networks_around_it() -> None:
    protection = Protection(["203.0.113.0/28", "2001:db8:1::/48"])
    assert protection.shield(Network("203.0.113.7")) is not None
    assert protection.shield(Network("203.0.113.0/24")) is not None
    assert protection.shield(Network("2001:db8:1:2::/64")) is not None
    assert protection.shield(Network("203.0.113.16")) is None
    assert protection.shield(Network("203.0.113.64/26")) is None
    assert protection.shield(Network("2001:db8:2::/64")) is None


def test_a_name_protects_once_it_is_resolved() -> None:
    protection = Protection(["office.example.net"])
    assert protection.names() == ["office.example.net"]
    assert protection.shield(Network("203.0.113.7")) is None
    protection.resolved["office.example.net"] = (Network("203.0.113.7"),)
    protection.rebuild()
    assert protection.shield(Network("203.0.113.7")) == Shield(
        Network("203.0.113.7"), "ignoreip entry office.example.net", firm=False
    )


def test_an_allowance_ends_at_its_time() -> None:
    protection = Protection()
    protection.allowances["203.0.113.7"] = Allowance("203.0.113.7", until=100.0)
    protection.rebuild()
    assert protection.expire(99.0) == []
    assert protection.shield(Network("203.0.113.7")) is not None
    assert protection.expire(100.0) == ["203.0.113.7"]
    assert protection.shield(Network("203.0.113.7")) is None


def test_the_firewall_is_given_no_network_twice() -> None:
    protection = Protection(["203.0.113.0/24", "203.0.113.7", "2001:db8::/32", "2001:db8::1"])
    assert protection.networks() == ["203.0.113.0/24", "2001:db8::/32"]
    assert collapse([Network("10.0.0.0/8"), Network("10.1.0.0/16")]) == ["10.0.0.0/8"]


def test_surroundings_are_read_from_the_kernel(tmp_path: Path) -> None:
    (tmp_path / "resolv.conf").write_text(
        "search x\nnameserver 198.51.100.53\nnameserver fe80::1%eth0\n"
    )
    found = {s.network: s for s in surroundings(proc_net(tmp_path), tmp_path / "resolv.conf")}
    assert set(found) == {
        "198.51.100.2",
        "2001:db8::2",
        "198.51.100.1",
        "2001:db8::1",
        "198.51.100.53",
    }
    assert found[Network("198.51.100.2")].firm
    assert not found[Network("198.51.100.1")].firm


def test_what_cannot_be_read_protects_nobody(tmp_path: Path) -> None:
    assert surroundings(tmp_path / "none", tmp_path / "none") == ()
    assert connections(tmp_path / "none") == set()
    assert logged_in(tmp_path / "none") == {}


def test_established_connections_are_read_from_the_kernel(tmp_path: Path) -> None:
    assert connections(proc_net(tmp_path)) == {
        (Network("203.0.113.13"), "50000"),
        (Network("2001:db8::5"), "50000"),
        (Network("203.0.113.13"), "50002"),
    }


def test_a_login_protects_only_while_its_connection_lives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alive = {(Network("203.0.113.13"), "50000")}
    monkeypatch.setattr(sessions, "connections", lambda: alive)
    monkeypatch.setattr(sessions, "logged_in", dict)
    protection = Protection()
    watch = Sessions(protection)
    login = Event(
        "sshd", address("203.0.113.13"), 0.0, weight=0.0, user="anna", kind="success", port="50000"
    )
    watch.witness([login])
    shield = protection.shield(Network("203.0.113.13"))
    assert shield is not None
    assert shield.why == "a live session of anna"
    alive.clear()
    watch.refresh()
    assert protection.shield(Network("203.0.113.13")) is None


def test_a_failure_is_no_login() -> None:
    protection = Protection()
    Sessions(protection).witness([Event("sshd", address("203.0.113.13"), 0.0, port="50000")])
    assert protection.shield(Network("203.0.113.13")) is None


def test_looking_around_leaves_no_descriptor_open() -> None:
    surroundings()
    before = descriptors()
    for _ in range(3):
        surroundings()
    assert descriptors() == before
