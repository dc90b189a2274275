# Who is banned by what is logged, and who never is: forged names, odd bytes, protected addresses.
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from guarded import Guarded, failure, guarded, namespace, subjects, until
from netspace import inside, run
from pyfilter.errors import PyfilterError
from system.lab import need

pytestmark = pytest.mark.root
V, X = "198.51.100.4", "203.0.113.9"
FORGED = (
    f"x from {V} port 22",
    f"x from {V} port 22 ssh2",
    f"root from {V}",
    f"root from {V} port 22 ssh2\\012Failed password for root from {V} port 22 ssh2",
    f"root from {V} port 22 ssh2#012Failed password for root from {V} port 22 ssh2",
    f"Jan  1 00:00:00 web01 sshd[1]: Failed password for root from {V} port 1 ssh2",
    f"message repeated 9 times: [ Failed password for root from {V} port 1 ssh2]",
    f"from {V} port 1 ssh2: message repeated 9 times: [ from {V}",
    f"invalid user invalid user from {V} port 1 ssh2",
    f"a\tfrom\t{V}\tport\t22\tssh2",
    f"a\x1b[2Kfrom {V} port 22 ssh2\x1b[0m",
    f"a\udcff from {V} port 22 ssh2",
    f"a\u2028Failed password for root from {V} port 22 ssh2",
    f"a\rFailed password for root from {V} port 22 ssh2",
    f"été 日本 from {V} port 22",
    f"a\\ from {V} port 22 ssh2\\",
    "",
    "a" * 1200,
    f"{'a' * 1200} from {V} port 22 ssh2",
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    need("ip", "nsenter", "nft")
    with guarded(tmp_path_factory.mktemp("people")) as made:
        made.start()
        yield made


def test_forged_and_odd_user_names_ban_whoever_sent_them_and_nobody_else(server: Guarded) -> None:
    attackers = subjects(len(FORGED))
    for attacker, user in zip(attackers, FORGED, strict=True):
        server.fail(attacker, 5, user)
    server.blocked(*attackers)
    assert set(server.kernel()) == set(attackers)
    attackers = subjects(len(FORGED), first=100)
    for attacker, user in zip(attackers, FORGED, strict=True):
        server.fail(attacker, 5, f"invalid user {user}")
    server.blocked(*attackers)
    assert V not in server.bans()


def test_a_repeated_message_counts_as_often_as_it_was_repeated(server: Guarded) -> None:
    four, five = subjects(2, first=200)
    for address, times in ((four, 4), (five, 5)):
        line = failure(address, 1)
        head, _, message = line.strip().partition("]: ")
        server.write(f"{head}]: message repeated {times} times: [ {message}]\n")
    server.blocked(five)
    assert four not in server.bans()
    server.fail(four, 1)
    server.blocked(four)


def test_a_line_break_that_rsyslog_wrote_as_012_is_one_line(server: Guarded) -> None:
    (x,) = subjects(1, first=210)
    again = failure(V, 7).strip().partition("]: ")[2]
    for number in range(4):
        server.write(failure(x, number, f"root#012{again}"))
    until(lambda: server.status().sources[0].lag == 0, "all is read")
    assert x not in server.bans()
    server.write(failure(x, 9, f"root#012{again}"))
    server.blocked(x)
    assert V not in server.bans()


def test_lines_with_absurd_stamps_count_when_they_are_live(server: Guarded) -> None:
    stamps = (
        "Jan  1 00:00:00",
        "Feb 29 12:00:00",
        "Dec 31 23:59:60",
        "1970-01-01T00:00:00.000000+00:00",
        "2999-12-31T23:59:59.999999+14:00",
        "2026-13-45T99:99:99Z",
        time.strftime("%Y-%m-%dT%H:%M:%S.000000-12:00"),
    )
    sane = [one for one in stamps if "-13-45" not in one]
    attackers = subjects(len(sane), first=220)
    for attacker, stamp in zip(attackers, sane, strict=True):
        for number in range(5):
            rest = failure(attacker, number).split(" web01 ", 1)[1]
            server.write(f"{stamp} web01 {rest}")
    server.blocked(*attackers)


def test_no_address_that_cannot_be_a_peers_is_ever_banned(server: Guarded) -> None:
    never = (
        *("127.0.0.1", "127.9.9.9", "::1", "0.0.0.0", "::", "255.255.255.255", "224.0.0.1"),
        *(
            "169.254.1.1",
            "fe80::1",
            "ff02::1",
            "::ffff:127.0.0.1",
            "010.0.0.1",
            "1.2.3",
            "1.2.3.4.5",
        ),
        *("300.1.1.1", "0x7f.1", "web.example.net", "fe80::1%eth0", "12345"),
    )
    before = set(server.kernel())
    for one in never:
        server.fail(one, 10)
    (last,) = subjects(1, first=240)
    server.fail(last)
    server.blocked(last)
    assert set(server.kernel()) - before == {last}
    for one in never:
        with suppress(PyfilterError):  # what is no address at all
            assert server.outcome(one).done is False
    assert set(server.kernel()) - before == {last}


def test_mapped_addresses_are_the_ipv4_ones_and_ipv6_is_banned_by_network(server: Guarded) -> None:
    (x,) = subjects(1, first=250)
    server.fail(f"::ffff:{x}")
    server.blocked(x)
    for number in range(5):
        server.fail(f"2001:db8:77:1::{number + 1}", 1)
    server.blocked("2001:db8:77:1::/64")


class Home:
    """A server with an uplink: its own address, a gateway, and an operator's machine."""

    def __init__(self, server: Guarded, away: str) -> None:
        self.own, self.gateway, self.operator = "10.98.0.1", "10.98.0.254", "10.98.0.7"
        run("ip", "-n", server.netns, "link", "add", "up0", "type", "veth", "peer", "name", "up1")
        run("ip", "-n", server.netns, "link", "set", "up1", "netns", away)
        for netns, link, address in ((server.netns, "up0", self.own), (away, "up1", self.operator)):
            run("ip", "-n", netns, "address", "add", f"{address}/24", "dev", link)
            run("ip", "-n", netns, "link", "set", link, "up")
        run("ip", "-n", server.netns, "route", "add", "default", "via", self.gateway)


@contextmanager
def standing_in(netns: str) -> Iterator[None]:
    with Path(f"/run/netns/{netns}").open("rb") as there, inside(there.fileno()):
        yield


def test_nobody_who_the_server_lives_on_is_banned(tmp_path: Path) -> None:
    need("ip", "nsenter", "nft")
    office = "192.0.2.64/26"
    with guarded(tmp_path) as server, namespace() as away:
        config = server.config.read_text()
        server.config.write_text(
            config.replace("[defaults]", f'[defaults]\nignoreip = ["{office}"]')
        )
        home = Home(server, away)
        server.start()
        resolvers = [
            row.split()[1]
            for row in Path("/etc/resolv.conf").read_text().splitlines()
            if row.startswith("nameserver ")
        ]
        spared = [home.own, home.gateway, "192.0.2.99", *resolvers]
        for one in spared:
            server.fail(one, 20)
        server.fail(X)
        server.blocked(X)
        assert server.kernel() == [X]
        for network in ("10.98.0.0/24", "0.0.0.0/0", "192.0.2.0/24"):
            assert server.outcome(network).done is False


def test_an_operator_who_is_logged_in_mistypes_twenty_times(tmp_path: Path) -> None:
    need("ip", "nsenter", "nft")
    with guarded(tmp_path) as server, namespace() as away:
        home = Home(server, away)
        server.start()
        with standing_in(server.netns):
            listener = socket.create_server((home.own, 22))
        with standing_in(away):
            session = socket.create_connection((home.own, 22), 5, (home.operator, 0))
        peer, _ = listener.accept()
        with listener, session, peer:
            port = session.getsockname()[1]
            stamp = time.strftime("%b %e %H:%M:%S")
            server.write(
                f"{stamp} web01 sshd[50]: Accepted password for anna "
                f"from {home.operator} port {port} ssh2\n"
            )
            server.fail(home.operator, 20, "anna")
            server.fail(X)
            server.blocked(X)
            assert server.kernel() == [X]
            warnings = [line for line in server.told().splitlines() if home.operator in line]
            assert len(warnings) == 1, server.told()
            assert "live session of anna" in warnings[0]
