# fleet.counting and fleet.campaigns: evidence of several servers as if it had been seen here.
from collections.abc import Sequence

import pytest

from pyfilter.addresses import Address
from pyfilter.errors import FleetError
from pyfilter.fleet.campaigns import ADDRESSES, Campaigns
from pyfilter.fleet.counting import LARGEST_BATCH, Counting, Desk
from pyfilter.fleet.record import signature
from pyfilter.model import AT_ONCE, Event

KEY, NOW = b"k" * 32, 1_800_000_000.0
X, PROTECTED = Address("203.0.113.13"), Address("192.0.2.1")


class Server:
    def __init__(self, name: str, key: bytes = KEY) -> None:
        self.seen: list[Event] = []
        desk = Desk(name, key, 600.0, lambda: NOW, self.count, PROTECTED.__eq__)
        self.counting = Counting(desk)

    def count(self, events: Sequence[Event]) -> None:
        self.seen += events

    def sees(self, *events: Event) -> bytes:
        self.counting.witness(events)
        return self.counting.batch() or b""


def failure(address: Address = X, **more: str | float | bool) -> Event:
    return Event("sshd", address, NOW - 1, **more)  # type: ignore[arg-type]


def test_what_one_server_saw_counts_on_another() -> None:
    one, two = Server("web01"), Server("web02")
    two.counting.take(one.sees(failure(), failure(weight=2.0), failure(Address("2001:db8::1"))))
    found = {(event.address, event.weight, event.rule, event.at) for event in two.seen}
    assert found == {(X, 3.0, "sshd", NOW - 1), ("2001:db8::1", 1.0, "sshd", NOW - 1)}
    assert two.seen[0].line == b"counted by web01"


def test_an_attempt_of_several_lines_counts_once() -> None:
    one, two = Server("web01"), Server("web02")
    lines = [failure(port="7"), failure(port="7", echo=True), failure(port="8", echo=True)]
    two.counting.take(one.sees(*lines))
    assert sum(event.weight for event in two.seen) == 2


def test_logins_bans_at_once_and_the_protected_stay_at_home() -> None:
    one = Server("web01")
    events = [failure(weight=0.0), failure(weight=AT_ONCE), failure(PROTECTED)]
    assert one.sees(*events) == b""
    two = Server("web02")
    two.counting._desk.count([])
    open_minded = Counting(Desk("web03", KEY, 600.0, lambda: NOW, lambda _: None, lambda _: False))
    open_minded.witness([failure(PROTECTED)])
    two.counting.take(open_minded.batch() or b"")
    assert two.seen == []


def sealed(body: bytes, key: bytes = KEY) -> bytes:
    return signature(body, key) + b" " + body


ITEM = b'["sshd","203.0.113.13",1.0,1799999999.0]'


def body(items: bytes = ITEM, number: int = 7, at: float = NOW, server: str = "evil") -> bytes:
    return b'{"server":"%s","number":%d,"at":%f,"items":[%s]}' % (
        server.encode(), number, at, items,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("batch", "reason"),
    [
        (sealed(body(), b"x"), "not signed"),
        (body(), "not signed"),
        (sealed(body(b",".join([ITEM] * 200))), "more evidence"),
        (sealed(b" " * LARGEST_BATCH), "too long"),
        (sealed(b"{}"), "malformed"),
        (sealed(body(b'["sshd","x",1.0,1.0]')), "malformed"),
        (sealed(body(b'["sshd","::ffff:1.2.3.4",1.0,1.0]')), "out of bounds"),
        (sealed(body(b'["sshd","203.0.113.13",-1.0,1.0]')), "out of bounds"),
        (sealed(body(b'["sshd","203.0.113.13",1e9,1.0]')), "out of bounds"),
        (sealed(body(at=NOW + 3600)), "in the future"),
        (sealed(body(server="")), "names no server"),
    ],
)
def test_odd_evidence_is_refused(batch: bytes, reason: str) -> None:
    server = Server("web01")
    with pytest.raises(FleetError, match=reason):
        server.counting.take(batch)
    assert server.seen == []


def test_evidence_is_taken_once_and_while_it_counts() -> None:
    server = Server("web01")
    server.counting.take(sealed(body(at=NOW - 601)))
    assert server.seen == []
    server.counting.take(sealed(body()))
    with pytest.raises(FleetError, match="replayed"):
        server.counting.take(sealed(body()))
    assert len(server.seen) == 1


def test_a_name_attacked_from_many_addresses_lowers_the_limit_for_the_unknown() -> None:
    one, two = Server("web01"), Server("web02")
    attackers = [Address(f"198.51.100.{number}") for number in range(ADDRESSES)]
    two.counting.campaigns.login(Address("192.0.2.9"))
    two.counting.take(one.sees(*(failure(each, user="anna") for each in attackers)))
    weigh = two.counting.campaigns.weigh
    later = [
        failure(user="anna"),
        failure(user="bert"),
        failure(Address("192.0.2.9"), user="anna"),
        failure(user="anna", weight=AT_ONCE),
    ]
    assert [event.weight for event in weigh(later)] == [2.0, 1.0, 1.0, AT_ONCE]
    assert b"anna" not in one.sees(failure(user="anna"))
    assert two.counting.campaigns.number(NOW) == 1
    assert two.counting.campaigns.number(NOW + 601) == 0


def test_campaigns_forget_the_oldest_when_there_are_too_many() -> None:
    campaigns = Campaigns(KEY, 600.0)
    for number in range(10_000):
        campaigns.note(campaigns.digest(str(number)), X, NOW)
        campaigns.login(Address(f"10.0.{number // 256}.{number % 256}"))
    assert len(campaigns._attackers) <= 4096
    assert len(campaigns._known) <= 4096
