# firewalls/elements.py: elements packed for the kernel, taken apart again as the kernel does it.
import socket

import pytest

from pyfilter.addresses import Network, network
from pyfilter.errors import FirewallError
from pyfilter.firewalls import elements
from pyfilter.firewalls.batch import Batch
from pyfilter.firewalls.netlink import Change
from pyfilter.firewalls.wire import CREATE, DELSETELEM, EXCLUSIVE, NEWSETELEM, attributes

HOST, NET, SIX = network("192.0.2.1"), network("10.0.0.0/8"), network("2001:db8::1")


def tree(data: bytes) -> dict[int, bytes]:
    return {kind: data[start:end] for kind, start, end in attributes(data)}


def read(change: Change) -> tuple[str, list[dict[int, bytes]]]:
    """Return the set that a change is for, and the attributes of each of its elements."""
    outer = tree(change.body)
    assert outer[1] == b"pyfilter\0"
    listed = [outer[3][start:end] for _, start, end in attributes(outer[3])]
    return outer[2].rstrip(b"\0").decode(), [tree(one) for one in listed]


def test_a_ban_bears_its_key_and_its_end_in_milliseconds() -> None:
    (change,) = elements.straight(Batch({HOST: 1.5}, ()))
    assert (change.kind, change.flags) == (NEWSETELEM, CREATE | EXCLUSIVE)
    name, (element,) = read(change)
    assert name == "banned4"
    assert tree(element[1]) == {1: socket.inet_pton(socket.AF_INET, HOST)}
    assert element[4] == (1500).to_bytes(8, "big")
    assert 6 not in element


def test_a_ban_for_ever_bears_no_end_and_a_network_its_own_text() -> None:
    (change,) = elements.straight(Batch({NET: None}, ()))
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
    (change,) = elements.straight(Batch({SIX: seconds}, ()))
    _, (element,) = read(change)
    assert int.from_bytes(element[4], "big") == milliseconds


def test_what_is_there_or_not_goes_before_it_comes() -> None:
    changes = elements.either_way(Batch({HOST: 5.0}, (SIX,)))
    assert [(change.kind, change.flags, read(change)[0]) for change in changes] == [
        (NEWSETELEM, CREATE, "banned4"),
        (NEWSETELEM, CREATE, "banned6"),
        (DELSETELEM, 0, "banned4"),
        (DELSETELEM, 0, "banned6"),
        (NEWSETELEM, CREATE, "banned4"),
    ]
    assert [4 in read(change)[1][0] for change in changes] == [False] * 4 + [True]


def test_an_attribute_never_holds_more_than_it_can() -> None:
    longest: dict[Network, float | None] = {
        Network(f"2001:db8:{n:x}:aaaa:bbbb:cccc:dddd:0/112"): 1e9
        for n in range(0x1000, 0x1000 + 1500)
    }
    changes = elements.straight(Batch(longest, ()))
    assert [len(read(change)[1]) for change in changes] == [700, 700, 100]
    assert all(len(change.body) < 1 << 16 for change in changes)


@pytest.mark.parametrize("hostile", ["1.2.3", "abc", ":::", "1.2.3.4.5", "1.2.3.4:5"])
def test_what_is_no_address_is_refused(hostile: str) -> None:
    with pytest.raises(FirewallError, match="no canonical network") as caught:
        elements.straight(Batch({}, (Network(hostile),)))
    assert not caught.value.recoverable
