# The small parts behind the control socket: the ring, what holds what, who is calling.
import asyncio
import os
import socket
from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyfilter.addresses import Network, network
from pyfilter.control import callers, protocol
from pyfilter.control.answers import Refusal
from pyfilter.control.callers import Caller, caller
from pyfilter.control.reach import Reach
from pyfilter.control.requests import BanSubjects, Hello, ListBans, Request
from pyfilter.control.ring import Ring
from pyfilter.errors import (
    FirewallError,
    NotRunningError,
    PrivilegeError,
    PyfilterError,
    RuleError,
    SettingsError,
)
from pyfilter.model import Release


def release(number: int) -> Release:
    return Release(Network(f"10.0.0.{number}"), float(number), "operator")


def test_the_ring_keeps_the_newest_and_their_numbers() -> None:
    ring = Ring(3)
    ring.add(release(n) for n in range(1, 6))
    assert ring.latest == 5
    assert [number for number, _ in ring.after(0)] == [3, 4, 5]
    assert ring.after(4) == [(5, release(5))]
    assert ring.after(5) == ring.after(99) == []
    assert [number for number, _ in ring.after(2, most=2)] == [3, 4]


async def test_the_ring_wakes_who_waits() -> None:
    ring = Ring()
    ring.add([release(1)])
    await ring.wait(0)
    waiting = [asyncio.create_task(ring.wait(1)) for _ in range(3)]
    gone = asyncio.create_task(ring.wait(1))
    await asyncio.sleep(0)
    gone.cancel()
    ring.add([])
    assert not any(task.done() for task in waiting)
    ring.add([release(2)])
    await asyncio.wait_for(asyncio.gather(*waiting), 5)


def written(version: int, value: int, length: int) -> Network:
    bits = 32 if version == 4 else 128
    made = (value % (1 << bits), min(length, bits))
    return network(str(ip_network((made[0] >> (bits - made[1]) << (bits - made[1]), made[1]))))


networks = st.builds(
    written,
    st.sampled_from((4, 6)),
    st.integers(0, 7).map(lambda n: n << 125 | n << 29 | n << 3),
    st.integers(1, 128),
)


@given(networks, st.lists(networks))
def test_what_holds_what_is_as_ipaddress_has_it(subject: Network, others: list[Network]) -> None:
    def holds(outer: Network, inner: Network) -> bool:
        wide, narrow = ip_network(outer), ip_network(inner)
        return wide.version == narrow.version and narrow.subnet_of(wide)  # type: ignore[arg-type]

    reach = Reach(others)
    assert {*reach.covering(subject)} == {other for other in others if holds(other, subject)}
    assert {*reach.within(subject)} == {other for other in others if holds(subject, other)}
    reach.drop(others)
    assert reach.covering(subject) == reach.within(subject) == []


def test_our_own_user_is_admin() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        found = caller(ours)
    assert (found.uid, found.role) == (os.geteuid(), "admin")


@pytest.mark.parametrize(
    ("gids", "role"), [({7}, "operator"), ({8}, "viewer"), ({7, 8}, "operator"), ({9}, None)]
)
def test_groups_give_the_other_roles(
    gids: set[int], role: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = {"pyfilter": 7, "pyfilter-view": 8}
    monkeypatch.setattr(callers, "_gid", known.get)
    monkeypatch.setattr(callers, "_name", lambda _: "kim")
    monkeypatch.setattr(os, "getgrouplist", lambda *_: [*gids])
    monkeypatch.setattr(os, "geteuid", lambda: 4242)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        monkeypatch.setattr(callers, "_UCRED", Credentials())
        assert caller(ours) == Caller("kim", 1000, role)  # type: ignore[arg-type]


class Credentials:
    size = 12

    def unpack(self, raw: bytes) -> tuple[int, int, int]:
        return 1, 1000, 1000


def test_a_role_can_be_lowered_and_never_raised() -> None:
    kim = Caller("kim", 1000, "operator")
    assert kim.lowered("admin") == kim
    assert kim.lowered("viewer").role == "viewer"
    assert [kim.may(role) for role in ("viewer", "operator", "admin")] == [True, True, False]
    assert not Caller("eve", 1001, None).lowered("admin").may("viewer")


@pytest.mark.parametrize(
    "request_", [Hello(), ListBans(rule="sshd"), BanSubjects(["10.0.0.1"], -1.0, "rude", True)]
)
def test_requests_travel_as_one_line(request_: Request) -> None:
    line = protocol.packed(request_)
    assert line.count(b"\n") == 1
    assert protocol.requests.decode(line) == request_


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (SettingsError("x"), SettingsError),
        (RuleError("x"), RuleError),
        (FirewallError("x", recoverable=False), FirewallError),
        (PrivilegeError("x"), PrivilegeError),
        (NotRunningError("x"), NotRunningError),
        (PyfilterError("x"), PyfilterError),
    ],
)
def test_an_error_arrives_as_what_it_was(error: PyfilterError, kind: type[PyfilterError]) -> None:
    raised = protocol.raised(protocol.refusal(error))
    assert (type(raised), str(raised)) == (kind, "x")


def test_an_error_of_another_version_is_an_error_still() -> None:
    assert str(protocol.raised(Refusal("NewError", "why"))) == "why"
