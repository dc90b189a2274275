# What others do to the kernel's firewall while the daemon guards, and what it cannot hold.
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from guarded import Guarded, guarded, subjects, until
from pyfilter.errors import PyfilterError
from system.lab import need

pytestmark = pytest.mark.root
X, Y, WHOLE = "203.0.113.9", "203.0.113.77", "203.0.113.0/24"
THEIRS = """
table inet theirs {
    set known { type ipv4_addr; flags timeout; elements = { 198.51.100.4 timeout 30d } }
    chain input { type filter hook input priority 0; policy accept; ip saddr @known drop; }
}
table ip nat {
    chain post {
        type nat hook postrouting priority 100
        ip saddr 10.9.0.0/16 masquerade
    }
}
"""
DAMAGES = {
    "the ruleset is flushed": "flush ruleset",
    "the table is deleted": "delete table inet pyfilter",
    "the rules are flushed": "flush chain inet pyfilter prerouting",
    "a set is flushed": "flush set inet pyfilter banned4",
    "an element is deleted": "delete element inet pyfilter banned4 {{ {x} }}",
    "the chain is emptied and deleted": (
        "flush chain inet pyfilter prerouting; delete chain inet pyfilter prerouting"
    ),
    "all rules and a set are deleted": (
        "flush chain inet pyfilter prerouting; delete set inet pyfilter banned4"
    ),
    "a rule of theirs is put before ours": "insert rule inet pyfilter prerouting accept",
    "an element of theirs is added": "add element inet pyfilter banned4 {{ 192.0.2.200 }}",
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    need("ip", "nsenter", "nft")
    with guarded(tmp_path_factory.mktemp("firewall")) as made:
        made.start()
        made.fail(X)
        made.blocked(X)
        yield made


def shape(server: Guarded) -> str:
    """Return our table's lines without what runs out; the order of sets does not matter."""
    text = server.run("nft", "-s", "list", "table", "inet", "pyfilter")
    return "\n".join(sorted(line for line in text.splitlines() if "elements" not in line))


@pytest.mark.parametrize("damage", DAMAGES)
def test_repaired_within_a_second_when(server: Guarded, damage: str) -> None:
    before = shape(server)
    server.run("nft", DAMAGES[damage].format(x=X))
    until(
        lambda: (
            "table inet pyfilter" in server.run("nft", "list", "ruleset")
            and shape(server) == before
            and server.kernel() == [X]
        ),
        damage,
        within=2.0,  # a second of the daemon's and what our own looking takes
    )


def test_other_peoples_tables_are_the_same_byte_for_byte(tmp_path: Path) -> None:
    need("ip", "nsenter", "nft")
    with guarded(tmp_path) as server:
        (tmp_path / "theirs").write_text(THEIRS)
        server.run("nft", "-f", str(tmp_path / "theirs"))

        def theirs() -> str:
            return server.run("nft", "-s", "list", "table", "inet", "theirs") + server.run(
                "nft", "-a", "list", "table", "ip", "nat"
            )

        before = theirs()
        server.start()
        server.fail(X)
        server.blocked(X)
        assert theirs() == before
        assert server.end() == 0
        assert theirs() == before
        server.run("nft", "delete", "table", "inet", "pyfilter")
        assert theirs() == before


def test_of_too_many_bans_those_that_end_last_stay_and_status_says_so(tmp_path: Path) -> None:
    need("ip", "nsenter", "nft")
    with guarded(tmp_path, '[firewall]\ntype = "nftables"\nsize = 10\n') as server:
        server.start()
        short, long, longer = subjects(8), subjects(6, first=50), subjects(300, first=100)
        server.ban(*short, seconds=300)
        server.ban(*long, seconds=3000)
        assert {*long} < {*server.kernel()}
        assert len(server.kernel()) == 10
        firewall = server.status().firewall
        assert "full" in firewall.health
        assert "4 bans" in firewall.health
        server.ban(*longer[:4], seconds=30_000)
        assert server.kernel() == sorted([*long, *longer[:4]])
        server.fail(X)  # 600 s: it does not fit
        until(lambda: X in server.bans(), "it is banned, if not in the kernel")
        assert server.kernel() == sorted([*long, *longer[:4]])
        server.unban(*long)
        server.unban(short[0])  # one that was never in the kernel
        server.ban(*longer[4:], seconds=40_000)
        assert {*server.kernel()} < {*longer[4:]}
        assert len(server.kernel()) == 10
        held = server.kernel()
        server.end()
        server.start()
        assert len(server.kernel()) == 10
        assert {*server.kernel()} < {*longer[4:]}
        assert "left out" in server.status().firewall.health
        assert len(held) == 10
        assert "Traceback" not in server.told()


def test_a_host_in_a_banned_network_is_released_in_either_order(server: Guarded) -> None:
    server.unban(X)
    server.ban(WHOLE, Y, seconds=600)
    assert server.kernel() == sorted([Y, WHOLE])
    server.unban(Y)
    assert server.kernel() == [WHOLE]
    server.ban(Y)
    server.unban(WHOLE)  # and whoever is in it
    assert server.kernel() == server.bans() == []
    server.ban(X)


def test_allowing_who_is_banned_releases_at_once_and_no_one_bans_it(server: Guarded) -> None:
    server.fail(Y)
    server.blocked(Y)
    server.allow(Y)
    assert Y not in server.kernel()
    server.fail(Y, 10)
    server.fail("203.0.113.10")
    server.blocked("203.0.113.10")
    assert Y not in server.bans()
    with suppress(PyfilterError):
        server.ban(Y)
    assert Y not in server.kernel()
