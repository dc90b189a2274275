# The iptables firewall among others: who breaks it, who lives beside it, what it refuses.
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing

import pytest

import netspace
from netspace import ATTACKER, FRIEND, NOW, Wire, ban, release, run
from pyfilter.addresses import network
from pyfilter.errors import FirewallError
from pyfilter.firewalls import Iptables
from pyfilter.interfaces import Firewall

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(not netspace.may_make(), reason="needs root"),
    pytest.mark.skipif(shutil.which("ipset") is None, reason="needs ipset"),
]


BACKENDS = {"ipset": Iptables(), "plain": Iptables(ipset=False)}
REJECTING = {"ipset": Iptables(action="reject"), "plain": Iptables(action="reject", ipset=False)}
FOREIGN = {
    "iptables": "*filter\n:INPUT ACCEPT [0:0]\n:OTHERS - [0:0]\n-A INPUT -j OTHERS\n"
    "-A OTHERS -p tcp -m tcp --dport 9 -j DROP\nCOMMIT\n"
    "*nat\n-A PREROUTING -p tcp -m tcp --dport 80 -j REDIRECT --to-ports 8080\nCOMMIT\n",
    "ip6tables": "*filter\n-A FORWARD -s fd00::/8 -j ACCEPT\nCOMMIT\n",
}
DISTURBANCES = {
    "flush": ("iptables -t raw -F",),
    "chain gone": (
        "iptables -t raw -D PREROUTING -j PYFILTER",
        "iptables -t raw -F PYFILTER",
        "iptables -t raw -X PYFILTER",
    ),
    "jump gone": ("iptables -t raw -D PREROUTING -j PYFILTER",),
    "rule before ours": ("iptables -t raw -I PREROUTING -j ACCEPT",),
    "rule within ours": ("iptables -t raw -I PYFILTER -j RETURN",),
    "other family": ("ip6tables -t raw -F",),
    "ruleset": ("nft flush ruleset",),
}


@pytest.fixture(params=BACKENDS)
def settings(request: pytest.FixtureRequest) -> Iptables:
    return BACKENDS[request.param]


@pytest.fixture
def firewall(wire: Wire, settings: Iptables) -> Iterator[Firewall]:
    opened = settings.open()
    opened.open()
    opened.bell()
    yield opened
    opened.close()


def saved() -> str:
    """Return all rules and sets without the stamps of the tools."""
    listed = run("iptables-save") + run("ip6tables-save") + run("ipset", "save")
    return "\n".join(line for line in listed.splitlines() if not line.startswith("#"))


@pytest.mark.parametrize("disturbance", DISTURBANCES)
def test_what_others_break_is_noticed_and_mended(
    wire: Wire, firewall: Firewall, disturbance: str
) -> None:
    bans = [ban(ATTACKER), ban("10.98.0.0/15"), ban("fd99:0:0:1::/64")]
    firewall.apply(bans, NOW)
    assert firewall.intact(3)
    assert not firewall.rung()
    for command in DISTURBANCES[disturbance]:
        run(*command.split())
    assert firewall.rung()
    assert not firewall.intact(3)
    firewall.open()
    held = firewall.blocked()
    firewall.apply([one for one in bans if one.subject not in held], NOW)
    assert firewall.intact(3)
    assert wire.stopped()
    assert not firewall.rung()


@pytest.mark.parametrize(
    "command", ["ipset flush pyfilter4", f"ipset del pyfilter4 {ATTACKER}", "ipset flush"]
)
def test_members_that_others_remove_are_missed(wire: Wire, command: str) -> None:
    with closing(Iptables().open()) as firewall:
        firewall.open()
        firewall.protect([network("192.0.2.7")])
        firewall.apply([ban(ATTACKER)], NOW)
        run(*command.split())
        assert not firewall.intact(1)
        firewall.open()
        firewall.protect([network("192.0.2.7")])
        firewall.apply([ban(ATTACKER)], NOW)
        assert firewall.intact(1)


def test_plain_rules_that_others_remove_are_no_obstacle(wire: Wire) -> None:
    with closing(Iptables(ipset=False).open()) as firewall:
        firewall.open()
        firewall.apply([ban(ATTACKER), ban(FRIEND)], NOW)
        run("iptables", "-t", "raw", "-D", "PYFILTER-BANNED", "-s", ATTACKER, "-j", "DROP")
        assert not firewall.intact(2)
        firewall.apply([release(ATTACKER), ban("192.0.2.1")], NOW)
        assert set(firewall.blocked()) == {FRIEND, "192.0.2.1"}


@pytest.mark.parametrize("action", [BACKENDS, REJECTING], ids=["drop", "reject"])
@pytest.mark.parametrize("kind", BACKENDS)
def test_the_rules_of_others_stay_as_they_are(
    wire: Wire, action: dict[str, Iptables], kind: str
) -> None:
    run("ipset", "create", "others", "hash:ip")
    for tool, rules in FOREIGN.items():
        subprocess.run([f"{tool}-restore"], input=rules, text=True, check=True)
    before = saved()
    with closing(action[kind].open()) as firewall:
        firewall.open()
        firewall.protect([network(FRIEND)])
        firewall.apply([ban(ATTACKER), ban("10.0.0.0/9"), ban("fd99:0:0:1::/64")], NOW)
        assert set(before.splitlines()) <= set(saved().splitlines())
        firewall.remove()
    assert saved() == before


def test_a_change_of_the_action_leaves_nothing_of_the_other(wire: Wire) -> None:
    for settings in (Iptables(), Iptables(action="reject"), Iptables(size=1000)):
        with closing(settings.open()) as firewall:
            firewall.open()
            firewall.apply([ban(ATTACKER)], NOW)
            assert wire.stopped()
            assert firewall.intact(1)
        chains = run("iptables-save").count(":PYFILTER ")
        assert chains == 1


def test_another_size_takes_the_members_over(wire: Wire) -> None:
    with closing(Iptables(size=100).open()) as first:
        first.open()
        first.apply([ban(ATTACKER), ban("192.0.2.0/24", None)], NOW)
    with closing(Iptables(size=200).open()) as second:
        second.open()
        assert "maxelem 200 " in run("ipset", "list", "-t", "pyfilter4")
        assert second.intact(2)
        assert second.blocked()[network(ATTACKER)].remaining == pytest.approx(600, abs=10)
        assert second.blocked()[network("192.0.2.0/24")].remaining is None
        assert wire.stopped()


def test_a_full_set_refuses_the_whole_batch_in_one_clear_line(wire: Wire) -> None:
    with closing(Iptables(size=3).open()) as firewall:
        firewall.open()
        firewall.apply([ban("192.0.2.1"), ban("192.0.2.2")], NOW)
        with pytest.raises(FirewallError, match="holds 3 members") as caught:
            firewall.apply([ban("192.0.2.3"), ban("192.0.2.4"), ban("fd00::/64")], NOW)
        assert not caught.value.recoverable
        assert firewall.intact(2)
        firewall.apply([ban("192.0.2.3"), ban("192.0.2.1", 60)], NOW)
        firewall.apply([release("192.0.2.1")], NOW)
        firewall.apply([ban("192.0.2.9")], NOW)
        assert set(firewall.blocked()) == {"192.0.2.2", "192.0.2.3", "192.0.2.9"}


def test_a_ban_longer_than_ipset_knows_gets_the_longest_it_knows(wire: Wire) -> None:
    with closing(Iptables().open()) as firewall:
        firewall.open()
        firewall.apply([ban(ATTACKER, 10_000_000)], NOW)
        assert firewall.blocked()[network(ATTACKER)].remaining == pytest.approx(2147483, abs=10)


def test_the_whole_network_is_refused(firewall: Firewall) -> None:
    with pytest.raises(FirewallError, match="length 0"):
        firewall.apply([ban("0.0.0.0/0")], NOW)


def test_everybody_may_be_let_through(wire: Wire, firewall: Firewall) -> None:
    firewall.protect([network("0.0.0.0/0"), network("::/0")])
    firewall.apply([ban(ATTACKER)], NOW)
    assert wire.reached()


def test_a_service_without_raw_sockets_is_told_what_sets_need(wire: Wire) -> None:
    code = (
        "from pyfilter.errors import FirewallError\n"
        "from pyfilter.firewalls import Iptables\n"
        "Iptables(ipset=False).open().open()\n"
        "try:\n    Iptables().open().open()\n"
        "except FirewallError as error:\n    print(error.recoverable, error)\n"
    )
    capability = ["--inh-caps", "+net_admin", "--ambient-caps", "+net_admin"]
    command = ["setpriv", "--reuid", "65534", "--clear-groups", *capability, sys.executable]
    environment = {**os.environ, "PYTHONPATH": ":".join(sys.path)}
    done = subprocess.run(
        [*command, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert done.stdout.startswith("False iptables needs CAP_NET_RAW"), done.stderr
