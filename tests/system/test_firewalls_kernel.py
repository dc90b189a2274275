# Firewalls measured in packets and in the kernel's own listing: two namespaces and a wire between.
import os
import select
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest
from msgspec import Struct

import netspace
from pyfilter.addresses import network
from pyfilter.errors import FirewallError
from pyfilter.firewalls import AnyFirewall, Iptables, Nftables, Observe
from pyfilter.interfaces import Firewall
from pyfilter.model import Ban, Release

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(not netspace.may_make(), reason="needs root"),
    pytest.mark.skipif(shutil.which("nft") is None, reason="needs nft"),
]
NOW = 1_000_000.0
SERVER, ATTACKER, FRIEND = "10.99.0.1", "10.99.0.2", "10.99.0.3"
SERVER6, ATTACKER6 = "fd99::1", "fd99:0:0:1::2"
PORT = 8022
SHORT = 0.3  # seconds in which an answer over the wire comes many times over
PATIENCE = 10.0  # seconds; long enough for the busiest machine
BACKENDS: dict[str, AnyFirewall] = {
    "nftables": Nftables(),
    "nftables-reject": Nftables(action="reject"),
    "iptables": Iptables(),
    "iptables-reject": Iptables(action="reject"),
    "iptables-plain": Iptables(ipset=False),
    "iptables-plain-reject": Iptables(ipset=False, action="reject"),
}


class Wire(Struct, frozen=True):
    """The attacker's end of the wire; this thread stands at the server's."""

    far: int

    def connect(self, source: str = ATTACKER, server: str = SERVER) -> socket.socket:
        """Connect from the far end; raises TimeoutError where nothing answers."""
        family = socket.AF_INET6 if ":" in source else socket.AF_INET
        with netspace.inside(self.far):
            made = socket.socket(family, socket.SOCK_STREAM)
        made.settimeout(SHORT)
        try:
            made.bind((source, 0))
            made.connect((server, PORT))
        except OSError:
            made.close()
            raise
        return made

    def reached(self, source: str = ATTACKER, server: str = SERVER) -> bool:
        """Say whether an answer comes, however busy the machine is."""
        deadline = time.monotonic() + PATIENCE
        while self.stopped(source, server):
            if time.monotonic() > deadline:
                return False
        return True

    def stopped(self, source: str = ATTACKER, server: str = SERVER) -> bool:
        try:
            self.connect(source, server).close()
        except OSError:
            return True
        return False


def run(*command: str) -> str:
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _dress(near: bool) -> None:
    name = "pffw-near" if near else "pffw-far"
    addresses = (
        [f"{SERVER}/24", f"{SERVER6}/32"]
        if near
        else [f"{ATTACKER}/24", f"{FRIEND}/24", f"{ATTACKER6}/32"]
    )
    for address in addresses:
        run("ip", "address", "add", address, "dev", name, *(["nodad"] if ":" in address else []))
    for device in ("lo", name):
        run("ip", "link", "set", device, "up")


@contextmanager
def _far() -> Iterator[int]:
    with netspace.fresh():
        place = os.open(netspace.OURS, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield place
    finally:
        os.close(place)


@pytest.fixture
def wire() -> Iterator[Wire]:
    with _far() as far, netspace.fresh():
        end = f"/proc/{os.getpid()}/fd/{far}"
        run("ip", "link", "add", "pffw-near", "type", "veth", "peer", "name", "pffw-far")
        run("ip", "link", "set", "pffw-far", "netns", end)
        _dress(near=True)
        with netspace.inside(far):
            _dress(near=False)
        with closing(
            socket.create_server(("::", PORT), family=socket.AF_INET6, dualstack_ipv6=True)
        ):
            yield Wire(far)


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


def ban(subject: str, seconds: float | None = 600.0) -> Ban:
    return Ban(network(subject), NOW, None if seconds is None else NOW + seconds, "test")


def release(subject: str) -> Release:
    return Release(network(subject), NOW, "operator")


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
        wire.connect()


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


# What others do to the ruleset.

FOREIGN = """
add table inet pyfilter_like
add set inet pyfilter_like s { type ipv4_addr; elements = { 192.0.2.9 }; }
add chain inet pyfilter_like c { type filter hook input priority 0; policy accept; }
add rule inet pyfilter_like c ip saddr @s counter drop
add table ip pyfilter
add chain ip pyfilter c
add rule ip pyfilter c tcp dport 22 accept comment "another family"
"""
DISTURBANCES = {
    "flush ruleset": "flush ruleset",
    "delete table": "delete table inet pyfilter",
    "delete chain": "flush chain inet pyfilter prerouting; delete chain inet pyfilter prerouting",
    "delete rules": "flush chain inet pyfilter prerouting",
    "rule before ours": "insert rule inet pyfilter prerouting accept",
    "delete set": "flush chain inet pyfilter prerouting; delete set inet pyfilter banned4",
    "flush set": "flush set inet pyfilter banned4",
    "delete element": f"delete element inet pyfilter banned4 {{ {ATTACKER} }}",
    "allow element": "add element inet pyfilter allowed4 { 10.0.0.0/8 }",
    "sleeping table": "add table inet pyfilter { flags dormant; }",
    "chain of another kind": "delete table inet pyfilter; add table inet pyfilter; "
    "add chain inet pyfilter prerouting { type filter hook input priority 5; policy accept; }",
    "set of another kind": "delete table inet pyfilter; add table inet pyfilter; "
    "add set inet pyfilter banned4 { type ipv4_addr; flags interval; }",
}


def kept(ruleset: str = "") -> str:
    return run("nft", "-s", "list", "ruleset", *ruleset.split())


@pytest.fixture
def nftables(wire: Wire) -> Iterator[Firewall]:
    opened = Nftables().open()
    opened.open()
    opened.bell()
    yield opened
    opened.close()


@pytest.mark.parametrize("disturbance", DISTURBANCES)
def test_what_others_break_is_noticed_and_mended(
    wire: Wire, nftables: Firewall, disturbance: str
) -> None:
    bans = [ban(ATTACKER), ban("10.98.0.0/15"), ban(ATTACKER6)]
    nftables.apply(bans, NOW)
    assert nftables.intact(3)
    assert not nftables.rung()
    run("nft", DISTURBANCES[disturbance])
    bell = nftables.bell()
    assert bell is not None
    readable, _, _ = select.select([bell], [], [], 5)
    assert readable
    assert nftables.rung()
    assert not nftables.intact(3)
    nftables.open()
    nftables.apply([one for one in bans if one.subject not in nftables.blocked()], NOW)
    assert nftables.intact(3)
    assert wire.stopped()
    assert not nftables.rung()


def test_what_others_do_elsewhere_is_not_ours(nftables: Firewall) -> None:
    nftables.apply([ban(ATTACKER)], NOW)
    run("nft", FOREIGN)
    assert not nftables.rung()
    assert nftables.intact(1)
    run("nft", "flush chain ip pyfilter c")
    nftables.apply([ban(FRIEND)], NOW)
    assert not nftables.rung()
    assert nftables.intact(2)


def test_a_ban_by_somebody_else_is_noticed_among_our_own(nftables: Firewall) -> None:
    nftables.apply([ban(ATTACKER)], NOW)
    run("nft", "add element inet pyfilter banned4 { 192.0.2.66 timeout 1h }")
    nftables.apply([ban(FRIEND)], NOW)
    assert nftables.rung()
    assert not nftables.intact(2)
    assert network("192.0.2.66") in nftables.blocked()
    assert nftables.intact(3)
    assert not nftables.rung()


def test_lost_notices_ring_too(nftables: Firewall) -> None:
    nftables.apply([ban(ATTACKER)], NOW)
    crowd = ", ".join(f"10.{n >> 8}.{n & 255}.1" for n in range(20000))
    run("nft", f"delete element inet pyfilter banned4 {{ {ATTACKER} }}")
    for _ in range(2):
        subprocess.run(
            ["nft", "-f", "-"],
            input=f"add table ip x; add set ip x y {{ type ipv4_addr; }}\n"
            f"flush set ip x y; add element ip x y {{ {crowd} }}",
            text=True,
            check=True,
        )
    assert nftables.rung()
    assert not nftables.intact(1)


def test_expiry_in_the_kernel_is_no_disturbance(nftables: Firewall) -> None:
    nftables.apply([ban(ATTACKER, 0.2), ban(FRIEND)], NOW)
    deadline = time.monotonic() + 10
    while len(nftables.blocked()) > 1:
        assert time.monotonic() < deadline
    assert not nftables.rung()
    assert nftables.intact(1)


def test_the_rules_of_others_stay_as_they_are(wire: Wire) -> None:
    run("nft", FOREIGN)
    before = kept()
    firewall = Nftables().open()
    firewall.open()
    firewall.apply([ban(ATTACKER), ban("10.0.0.0/9")], NOW)
    firewall.protect([network(FRIEND)])
    ours = kept()
    assert before in ours.replace(run("nft", "-s", "list", "table", "inet", "pyfilter"), "")
    firewall.remove()
    assert kept() == before
    firewall.close()


def test_a_table_of_an_older_layout_is_replaced_with_its_bans(wire: Wire) -> None:
    run(
        "nft",
        "add table inet pyfilter; add set inet pyfilter banned4 "
        "{ type ipv4_addr; size 100; flags timeout; }; "
        "add chain inet pyfilter prerouting { type filter hook input priority 5; }; "
        "add rule inet pyfilter prerouting ip saddr @banned4 drop; "
        f"add element inet pyfilter banned4 {{ {ATTACKER} timeout 1h }}",
    )
    firewall = Nftables().open()
    firewall.open()
    assert wire.stopped()
    assert firewall.blocked()[network(ATTACKER)].remaining == pytest.approx(3600, abs=10)
    assert "priority raw" in run("nft", "list", "table", "inet", "pyfilter")
    firewall.close()


def test_the_action_and_the_size_may_change_between_runs(wire: Wire) -> None:
    for settings in (Nftables(size=1000), Nftables(action="reject"), Nftables(size=2000)):
        firewall = settings.open()
        firewall.open()
        firewall.apply([ban(ATTACKER)], NOW)
        assert f"size {settings.size}" in run("nft", "list", "set", "inet", "pyfilter", "banned4")
        assert wire.stopped()
        assert firewall.intact(1)
        firewall.close()


def test_a_full_set_refuses_the_whole_batch_in_one_clear_line(wire: Wire) -> None:
    with closing(Nftables(size=3).open()) as firewall:
        _fill(firewall)


def _fill(firewall: Firewall) -> None:
    firewall.open()
    firewall.apply([ban("192.0.2.1"), ban("192.0.2.2")], NOW)
    with pytest.raises(FirewallError, match="holds 3 elements") as caught:
        firewall.apply([ban("192.0.2.3"), ban("192.0.2.4"), ban("10.0.0.0/24")], NOW)
    assert not caught.value.recoverable
    assert set(firewall.blocked()) == {"192.0.2.1", "192.0.2.2"}
    assert firewall.intact(2)
    firewall.apply([ban("192.0.2.3"), ban("192.0.2.1", 60)], NOW)
    assert firewall.intact(3)
    firewall.apply([release("192.0.2.1")], NOW)
    firewall.apply([ban("192.0.2.9")], NOW)
    assert set(firewall.blocked()) == {"192.0.2.2", "192.0.2.3", "192.0.2.9"}


def test_without_the_capability_one_line_says_what_to_do(wire: Wire) -> None:
    code = (
        "import ctypes, sys\n"
        "from pyfilter.errors import FirewallError\n"
        "from pyfilter.firewalls import Nftables\n"
        "try:\n    Nftables().open().open()\n"
        "except FirewallError as error:\n    print(error.recoverable, error)\n"
    )
    path = ":".join(sys.path)
    command = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", sys.executable]
    environment = {**os.environ, "PYTHONPATH": path}
    done = subprocess.run(
        [*command, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert done.stdout.startswith("False the firewall needs CAP_NET_ADMIN"), done.stderr
    assert done.stdout.count("\n") == 1
