# The nftables firewall among others: who breaks it, who lives beside it, what it refuses.
import os
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing

import pytest

import netspace
from netspace import ATTACKER, ATTACKER6, FRIEND, NOW, Wire, ban, release, run
from pyfilter.addresses import network
from pyfilter.errors import FirewallError
from pyfilter.firewalls import Nftables
from pyfilter.interfaces import Firewall

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(not netspace.may_make(), reason="needs root"),
    pytest.mark.skipif(shutil.which("nft") is None, reason="needs nft"),
]


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


def test_a_ban_into_a_flushed_ruleset_stands_and_the_loss_of_the_others_is_noticed(
    wire: Wire, nftables: Firewall
) -> None:
    nftables.apply([ban(FRIEND), ban("192.0.2.1")], NOW)
    run("nft", "flush ruleset")
    nftables.apply([ban(ATTACKER)], NOW)
    assert wire.stopped()
    assert nftables.rung()
    assert not nftables.intact(3)


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


def test_a_listing_among_changes_comes_to_an_end(nftables: Firewall) -> None:
    subjects = [f"10.1.{n >> 8}.{n & 255}" for n in range(20000)]
    nftables.apply([ban(subject) for subject in subjects], NOW)
    churn = subprocess.Popen(
        ["sh", "-c", "while nft add table inet x; do nft delete table inet x; done"],
        stderr=subprocess.DEVNULL,
    )
    try:
        found = nftables.blocked()
    finally:
        churn.kill()
        churn.wait()
    assert len(found) > 19000


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
