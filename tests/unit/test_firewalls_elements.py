# firewalls/elements.py: elements packed for the kernel, taken apart again as the kernel does it.
import socket
from collections.abc import Callable, Mapping
from functools import partial

import pytest

from pyfilter.addresses import Network, network
from pyfilter.errors import FirewallError
from pyfilter.firewalls import elements
from pyfilter.firewalls.netlink import Change
from pyfilter.firewalls.ruleset import Prefix
from pyfilter.firewalls.wire import (
    CREATE,
    DELSETELEM,
    DESTROYSETELEM,
    EXCLUSIVE,
    NEWSETELEM,
    attributes,
)
from pyfilter.model import Ban, Release

NOW = 0.0
HOST, NET, SIX = network("192.0.2.1"), network("10.0.0.0/8"), network("2001:db8::1")


def places(ends: Mapping[Network, float | None]) -> Mapping[Prefix, elements.Ends]:
    """Return bans for so many seconds by their sets; releases where there are none."""
    return elements.placed([Ban(one, NOW, end and NOW + end, "") for one, end in ends.items()], NOW)


def tree(data: bytes) -> dict[int, bytes]:
    return {kind: data[start:end] for kind, start, end in attributes(data)}


def read(change: Change) -> tuple[str, list[dict[int, bytes]]]:
    """Return the set that a change is for, and the attributes of each of its elements."""
    outer = tree(change.body)
    assert outer[1] == b"pyfilter\0"
    listed = [outer[3][start:end] for _, start, end in attributes(outer[3])]
    return outer[2].rstrip(b"\0").decode(), [tree(one) for one in listed]


def test_a_ban_bears_its_key_and_its_end_in_milliseconds() -> None:
    (change,) = elements.straight(places({HOST: 1.5}))
    assert (change.kind, change.flags) == (NEWSETELEM, CREATE | EXCLUSIVE)
    name, (element,) = read(change)
    assert name == "banned4"
    assert tree(element[1]) == {1: socket.inet_pton(socket.AF_INET, HOST)}
    assert element[4] == (1500).to_bytes(8, "big")
    assert 6 not in element


def test_a_ban_for_ever_bears_no_end_and_a_network_its_own_text() -> None:
    (change,) = elements.straight(places({NET: None}))
    name, (element,) = read(change)
    assert name == "banned4_8"
    assert element.keys() == {1, 6}
    assert element[6] == bytes((0, 11)) + b"10.0.0.0/8\0"


@pytest.mark.parametrize(
    ("seconds", "milliseconds"), [(0.0001, 1), (86400.0, 86_400_000), (1e300, 36500 * 86_400_000)]
)
def test_an_end_is_at_least_a_millisecond_and_at_most_a_century_away(
    seconds: float, milliseconds: int
) -> None:
    (change,) = elements.straight(places({SIX: seconds}))
    _, (element,) = read(change)
    assert int.from_bytes(element[4], "big") == milliseconds


def test_what_is_there_or_not_goes_before_it_comes() -> None:
    changes = elements.either_way(places({HOST: 5.0, SIX: -1.0}), destroying=False)
    assert [(change.kind, change.flags, read(change)[0]) for change in changes] == [
        (NEWSETELEM, CREATE, "banned4"),
        (DELSETELEM, 0, "banned4"),
        (NEWSETELEM, CREATE, "banned4"),
        (NEWSETELEM, CREATE, "banned6"),
        (DELSETELEM, 0, "banned6"),
    ]
    timed = [4 in read(change)[1][0] for change in changes]
    assert timed == [False, False, True, False, False]
    changes = elements.either_way(places({HOST: 5.0, SIX: -1.0}), destroying=True)
    assert [(change.kind, read(change)[0]) for change in changes] == [
        (DESTROYSETELEM, "banned4"),
        (NEWSETELEM, "banned4"),
        (DESTROYSETELEM, "banned6"),
    ]


def test_an_attribute_never_holds_more_than_it_can() -> None:
    longest: dict[Network, float | None] = {
        Network(f"2001:db8:{n:x}:aaaa:bbbb:cccc:dddd:0/112"): 1e9
        for n in range(0x1000, 0x1000 + 1500)
    }
    changes = elements.straight(places(longest))
    assert [len(read(change)[1]) for change in changes] == [700, 700, 100]
    assert all(len(change.body) < 1 << 16 for change in changes)


def test_the_last_word_on_a_subject_counts_and_an_ended_ban_is_a_release() -> None:
    bans = [Ban(HOST, 0, 50, ""), Ban(SIX, 0, None, ""), Ban(NET, 0, 10, ""), Ban(NET, 0, 11, "")]
    found = elements.placed([*bans, Release(HOST, 1, "")], 10.5)
    assert found == {(4, 32): {HOST: 0.0}, (6, 128): {SIX: None}, (4, 8): {NET: 0.5}}
    changes = elements.straight(found)
    assert [change.kind for change in changes] == [DELSETELEM, NEWSETELEM, NEWSETELEM]
    assert elements.straight(elements.placed(bans[2:3], 10.0))[0].kind == DELSETELEM


@pytest.mark.parametrize(
    "hostile",
    [
        *("", "1.2.3", "abc", ":::", "1.2.3.4.5", "1.2.3.4:5", "host.example", "1.2.3.4 }"),
        *("1.2.3.4\n", "$x", "\uff11.2.3.4", "1.2.3.4\0"),
        *("1.2.3.4/32", "1.2.3.0/33", "1.2.3.0/024", "1.2.3.0/24/8", "1.2.3.0/", "1.2.3.0/\u0661"),
        *("::/128", "::/-1", "a/b"),
    ],
)
@pytest.mark.parametrize(
    "packed", [elements.straight, partial(elements.either_way, destroying=True)]
)
def test_what_is_no_canonical_network_is_refused(
    hostile: str, packed: Callable[[Mapping[Prefix, elements.Ends]], list[Change]]
) -> None:
    with pytest.raises(FirewallError, match="no canonical network") as caught:
        packed(elements.placed([Ban(HOST, 0, 50, ""), Ban(Network(hostile), 0, 50, "")], 0.0))
    assert not caught.value.recoverable
