# Elements written over netlink to the real nf_tables: what nft itself lists is what was meant.
import json
import os
import select
import shutil
import socket
import struct
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import netspace
from netspace import NOW, ban, release, run
from pyfilter.addresses import Network, network
from pyfilter.errors import FirewallError
from pyfilter.firewalls import Nftables, elements
from pyfilter.firewalls.netlink import Change, Netlink
from pyfilter.firewalls.nftables import NftablesFirewall
from pyfilter.firewalls.ruleset import set_prefix
from pyfilter.firewalls.wire import ECHO, NEWTABLE, attribute
from pyfilter.interfaces import Firewall

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(not netspace.may_make(), reason="needs root"),
    pytest.mark.skipif(shutil.which("nft") is None, reason="needs nft"),
]
HOST, SIX = network("192.0.2.1"), network("2001:db8::1")
TABLE = Change(NEWTABLE, ECHO, attribute(1, "pyfilter"))


@pytest.fixture
def firewall() -> Iterator[Firewall]:
    with netspace.fresh():
        opened = Nftables().open()
        opened.open()
        opened.bell()
        yield opened
        opened.close()


@pytest.fixture
def netlink(firewall: Firewall) -> Iterator[Netlink]:
    opened = Netlink()
    yield opened
    opened.close()


def changes(ends: Mapping[Network, float | None], times: int = 1) -> list[Change]:
    return elements.straight(elements.placed([ban(*one) for one in ends.items()], NOW)) * times


def mixed(count: int) -> list[Network]:
    """Return hosts and networks of both families and of many lengths, some inside others."""
    found = []
    for n in range(count // 4):
        found += [
            network(f"10.{n >> 8}.{n & 255}.1"),
            network(f"11.{n >> 8}.{n & 255}.0/{(24, 22 + n % 10, 32)[n % 3]}"),
            network(f"2001:db8:{n:x}::{n:x}"),
            network(f"2001:db9:{n:x}::/{(64, 56 + n % 60, 48)[n % 3]}"),
        ]
    return list(dict.fromkeys(found))


def listed() -> dict[Network, float | None]:
    """Return what nft itself tells of our sets: subjects and the seconds for which they were set."""
    found: dict[Network, float | None] = {}
    for entry in json.loads(run("nft", "-j", "list", "table", "inet", "pyfilter"))["nftables"]:
        where = set_prefix(entry.get("set", {}).get("name", ""))
        if where is not None:
            for element in entry["set"].get("elem", ()):
                subject, seconds = _element(element, where[1])
                found[subject] = seconds
    return found


def _element(element: Any, length: int) -> tuple[Network, float | None]:
    """Return one element of nft's listing; a network's comment must say the same as its key."""
    inner = element["elem"] if isinstance(element, dict) else {"val": element}
    subject = network(f"{inner['val']}/{length}")
    assert inner.get("comment", subject) == subject
    assert ("comment" in inner) == ("/" in subject)
    return subject, inner.get("timeout")


def test_ten_thousand_mixed_elements_are_what_nft_lists(firewall: Firewall) -> None:
    subjects = mixed(10_000)
    assert len(subjects) > 9000
    ends = {one: None if n % 7 == 0 else 600.0 + n for n, one in enumerate(subjects)}
    firewall.apply([ban(one, seconds) for one, seconds in ends.items()], NOW)
    assert listed() == ends
    assert set(firewall.blocked()) == set(ends)
    assert firewall.intact(len(ends))
    firewall.apply([release(one) for one in subjects[100:]], NOW)
    assert set(listed()) == set(subjects[:100])
    assert firewall.intact(100)
    assert not firewall.rung()


def test_among_many_new_bans_some_are_prolonged_and_shortened(firewall: Firewall) -> None:
    subjects = mixed(2000)
    firewall.apply([ban(one) for one in subjects[:3]], NOW)
    ends: dict[Network, float | None] = dict.fromkeys(subjects, 6000.0)
    ends[subjects[0]], ends[subjects[1]] = None, 60.0
    firewall.apply([ban(one, seconds) for one, seconds in ends.items()], NOW)
    assert listed() == ends
    assert firewall.intact(len(ends))


@pytest.mark.parametrize("absent", [1, 500])
def test_many_releases_of_which_some_are_absent_are_success(
    firewall: Firewall, absent: int
) -> None:
    subjects = mixed(2000)
    firewall.apply([ban(one) for one in subjects[absent:]], NOW)
    firewall.apply([*map(release, subjects[:-1]), ban(HOST)], NOW)
    assert set(listed()) == {subjects[-1], HOST}


@pytest.mark.parametrize("count", [1, 1000])
@pytest.mark.parametrize("broken", ["delete table inet pyfilter", "flush ruleset"])
def test_bans_into_a_table_that_is_gone_make_it_anew(
    firewall: Firewall, broken: str, count: int
) -> None:
    firewall.apply([ban(HOST)], NOW)
    run("nft", broken)
    subjects = mixed(4 * count)[:count]
    firewall.apply([ban(one) for one in subjects], NOW)
    assert set(listed()) == set(subjects)
    assert firewall.rung()
    assert not firewall.intact(count + 1)


def test_a_set_that_is_gone_is_told_in_one_line_and_nothing_else_changes(
    firewall: Firewall,
) -> None:
    firewall.apply([ban(SIX)], NOW)
    run("nft", "flush chain inet pyfilter prerouting; delete set inet pyfilter banned4")
    with pytest.raises(FirewallError, match=r"^a set of inet pyfilter is gone: [^\n]*$") as caught:
        firewall.apply([release(SIX), ban(HOST)], NOW)
    assert caught.value.recoverable
    assert set(listed()) == {SIX}
    firewall.open()
    firewall.apply([release(SIX), ban(HOST)], NOW)
    assert set(listed()) == {HOST}


@pytest.mark.parametrize("count", [2, 1000])
@pytest.mark.parametrize("gone", [False, True])
def test_a_kernel_that_cannot_destroy_what_may_be_absent_is_served_too(
    firewall: Firewall, monkeypatch: pytest.MonkeyPatch, count: int, *, gone: bool
) -> None:
    monkeypatch.setattr(elements, "DESTROYSETELEM", 10 << 8 | 99)
    if gone:
        run("nft", "delete table inet pyfilter")
    subjects = mixed(2000)[:count]
    firewall.apply([ban(HOST), ban(SIX, None)], NOW)
    firewall.apply([*map(ban, subjects), ban(HOST, 60.0), release(SIX)], NOW)
    firewall.apply([release(SIX), *map(release, subjects[1:])], NOW)
    assert listed() == {HOST: 60.0, subjects[0]: 600.0}


def test_our_own_bans_wake_nobody_and_those_of_others_do(firewall: Firewall) -> None:
    bell = firewall.bell()
    assert bell is not None
    firewall.rung()
    firewall.apply([ban(HOST), ban(SIX)], NOW)
    firewall.apply([release(HOST)], NOW)
    assert select.select([bell], [], [], 0)[0] == []
    run("nft", "add element inet pyfilter banned4 { 192.0.2.9 }")
    assert select.select([bell], [], [], netspace.PATIENCE)[0] == [bell]
    assert firewall.rung()


def test_a_transaction_that_is_refused_changes_nothing_and_is_no_generation(
    firewall: Firewall, netlink: Netlink
) -> None:
    before = netlink.generation()
    assert netlink.commit([TABLE, *changes({HOST: 5.0})]).generation == before + 1
    refused = netlink.commit([TABLE, *changes({network("10.0.0.1"): 5.0}), *changes({HOST: 5.0})])
    assert refused.refusal == "File exists"
    refused = netlink.commit(changes({SIX: 0.0, HOST: 0.0}))
    assert refused.refusal == "No such file or directory"
    assert netlink.generation() == before + 1
    assert set(listed()) == {HOST}


def test_without_an_echo_a_transaction_has_no_number(netlink: Netlink) -> None:
    verdict = netlink.commit(changes({HOST: None}))
    assert (verdict.refusal, verdict.generation) == ("", None)
    assert listed() == {HOST: None}


def test_answers_to_requests_that_were_given_up_are_passed_over(netlink: Netlink) -> None:
    inner = netlink._socket
    body = struct.pack(">BBH", 1, 0, 0) + attribute(1, "nothing")
    inner.send(struct.pack("=IHHII", 16 + len(body), 10 << 8 | 1, 1, 999_999, 0) + body)
    generation = netlink.generation()
    inner.send(struct.pack("=IHHII", 16 + len(body), 10 << 8 | 1, 1, 999_999, 0) + body)
    assert netlink.commit([TABLE, *changes({HOST: 5.0})]).generation == generation + 1


def test_a_batch_larger_than_the_socket_s_room_is_taken_whole(netlink: Netlink) -> None:
    netlink._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
    netlink._room = room = netlink._socket.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) - 32
    subjects = {network(f"10.1.{n >> 8}.{n & 255}"): 60.0 for n in range(20_000)}
    few = dict(list(subjects.items())[: room // 28 - 5])  # as many as the room is for
    assert netlink.commit(changes(few)).refusal == ""
    assert netlink._room == room
    assert netlink.commit(changes({s: end for s, end in subjects.items() if s not in few}))
    assert len(listed()) == 20_000


def test_where_the_answers_find_no_room_what_was_read_decides(netlink: Netlink) -> None:
    netlink._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
    absent = changes({HOST: 5.0}, times=500)
    assert netlink.commit([*changes({HOST: 5.0}), *absent]).refusal == "File exists"
    with pytest.raises(FirewallError, match="lost its answer"):
        netlink._verdict(1, 2)
    assert netlink.commit(changes({SIX: 5.0})).refusal == ""


def test_a_socket_that_is_closed_is_told_of(netlink: Netlink) -> None:
    netlink.close()
    with pytest.raises(FirewallError, match="takes no transaction: Bad file descriptor"):
        netlink.commit(changes({HOST: 5.0}))


@st.composite
def subjects(draw: st.DrawFn) -> Network:
    """Draw any network of either family."""
    if draw(st.booleans()):
        return network(f"{draw(st.ip_addresses(v=4))}/{draw(st.integers(0, 32))}")
    base = draw(st.ip_addresses(v=6, network="2000::/3"))  # none that is an IPv4 address mapped
    return network(f"{base}/{draw(st.integers(0, 128))}")


ends = st.none() | st.floats(60, 1e7).map(round)


@given(
    banned=st.dictionaries(subjects(), ends, max_size=20), released=st.lists(subjects(), max_size=3)
)
@settings(max_examples=25, deadline=None)
def test_what_is_written_is_what_nft_and_our_own_reader_show(
    banned: dict[Network, float | None], released: Sequence[Network]
) -> None:
    with netspace.fresh():
        firewall = Nftables().open()
        assert isinstance(firewall, NftablesFirewall)
        firewall.open()
        gone = [one for n, one in enumerate(banned) if n % 3 == 0]
        firewall.apply([ban(one, seconds) for one, seconds in banned.items()], NOW)
        assert listed() == banned
        firewall.apply([release(one) for one in (*released, *gone)], NOW)
        left = {s: e for s, e in banned.items() if s not in {*gone, *released}}
        assert listed() == left
        held = {one.subject: one.remaining for one in firewall.blocked().values()}
        assert held == {s: e and pytest.approx(e, abs=30) for s, e in left.items()}
        firewall.close()


def test_who_loses_the_capability_is_told_in_one_line(firewall: Firewall) -> None:
    firewall.apply([ban(HOST)], NOW)
    capable = os.geteuid()
    os.seteuid(65534)
    try:
        with pytest.raises(FirewallError, match="needs CAP_NET_ADMIN") as caught:
            firewall.apply([ban(SIX)], NOW)
    finally:
        os.seteuid(capable)
    assert caught.value.privilege
    assert set(listed()) == {HOST}
