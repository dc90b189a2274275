# enforcer: check, record, block, tell - and the kernel held to the ledger.
from collections.abc import Mapping, Sequence

import pytest

from pyfilter.addresses import Network, version
from pyfilter.enforcer import Enforcer, Reconciler
from pyfilter.errors import FirewallError, LedgerError
from pyfilter.firewalls import Observe
from pyfilter.firewalls.batch import longest
from pyfilter.firewalls.observe import ObservingFirewall
from pyfilter.interfaces import Firewall, Ledger
from pyfilter.ledger import Memory
from pyfilter.model import Ban, Decision, Release
from pyfilter.protection import Protection

X = Network("203.0.113.13")
Y = Network("203.0.113.14")
OFFICE = Network("198.51.100.7")


class Hands:
    """A clock that is set by hand and an enforcer with the parts that the product ships."""

    def __init__(self, firewall: Firewall | None = None) -> None:
        self.now = 1000.0
        self.ledger: Ledger = Memory().open()
        self.firewall = firewall or Observe().open()
        self.firewall.open()
        self.enforcer = Enforcer(self.ledger, self.firewall, Protection([OFFICE]), lambda: self.now)
        self.told: list[Decision] = []
        self.enforcer.notifiers.append(self)
        self.reconciler = Reconciler(self.enforcer)

    name = "hands"

    def tell(self, decision: Decision) -> None:
        self.told.append(decision)

    def ban(self, subject: Network, until: float | None = 1600.0, origin: str = "web01") -> Ban:
        return Ban(subject, self.now, until, "5 failures", "sshd", origin=origin)


@pytest.fixture
def hands() -> Hands:
    return Hands()


def test_a_ban_is_recorded_blocked_and_told(hands: Hands) -> None:
    ban = hands.ban(X)
    (outcome,) = hands.enforcer.apply([ban])
    assert outcome.done
    assert [b.subject for b in hands.ledger.active(hands.now)] == [X]
    assert list(hands.firewall.blocked()) == [X]
    assert hands.told == [ban]


def test_a_release_lets_through_and_is_told(hands: Hands) -> None:
    hands.enforcer.apply([hands.ban(X), hands.ban(Y)])
    (outcome,) = hands.enforcer.apply([Release(X, 1001.0, "operator", by="anna")])
    assert outcome.done
    assert list(hands.firewall.blocked()) == [Y]
    assert [b.subject for b in hands.ledger.active(1001.0)] == [Y]


def test_releasing_who_is_not_banned_is_refused(hands: Hands) -> None:
    (outcome,) = hands.enforcer.apply([Release(X, 1001.0, "operator")])
    assert (outcome.done, outcome.reason) == (False, "is not banned")
    assert hands.told == []


def test_the_protected_are_never_banned_whoever_decides(hands: Hands) -> None:
    outcomes = hands.enforcer.apply(
        [hands.ban(OFFICE), hands.ban(Network("198.51.100.0/24"), origin="web02")]
    )
    assert [o.done for o in outcomes] == [False, False]
    assert "ignoreip entry 198.51.100.7" in outcomes[0].reason
    assert hands.enforcer.refused == {"web01": 1, "web02": 1}
    assert hands.firewall.blocked() == {}


def test_force_bans_an_allowed_address_but_never_loopback(hands: Hands) -> None:
    outcomes = hands.enforcer.apply(
        [hands.ban(OFFICE), hands.ban(Network("127.0.0.1"))], force=True
    )
    assert [o.done for o in outcomes] == [True, False]


def test_a_second_ban_only_prolongs(hands: Hands) -> None:
    hands.enforcer.apply([hands.ban(X, 1600.0)])
    shorter, longer, forever = (
        hands.enforcer.apply([hands.ban(X, until)])[0] for until in (1500.0, 1700.0, None)
    )
    assert [o.done for o in (shorter, longer, forever)] == [False, True, True]
    assert hands.enforcer.bans()[0].until is None


def test_a_ban_that_has_ended_already_is_refused(hands: Hands) -> None:
    (outcome,) = hands.enforcer.apply([hands.ban(X, until=999.0)])
    assert outcome.reason == "has ended already"


def test_bans_end_by_the_clock(hands: Hands) -> None:
    hands.enforcer.apply([hands.ban(X, 1600.0), hands.ban(Y, None)])
    assert hands.enforcer.next_end() == 1600.0
    hands.now = 1600.0
    assert [ban.subject for ban in hands.enforcer.bans()] == [Y]
    (outcome,) = hands.enforcer.expire()
    assert isinstance(outcome.decision, Release)
    assert outcome.decision.cause == "expired"
    assert list(hands.firewall.blocked()) == [Y]


def test_a_prolonged_ban_does_not_end_at_its_first_end(hands: Hands) -> None:
    hands.enforcer.apply([hands.ban(X, 1600.0)])
    hands.enforcer.apply([hands.ban(X, 1700.0)])
    hands.now = 1650.0
    assert hands.enforcer.expire() == []
    assert list(hands.firewall.blocked()) == [X]


def test_an_observed_ban_is_told_and_never_taken_up_by_a_later_run(hands: Hands) -> None:
    seen = Ban(X, 1000.0, 1600.0, "5 failures", "sshd", observe=True)
    assert hands.enforcer.apply([seen])[0].done
    assert hands.told == [seen]
    assert hands.ledger.active(1000.0) == []


def test_without_a_ledger_bans_go_on_and_are_written_later(
    hands: Hands, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(decisions: Sequence[Decision]) -> None:
        raise LedgerError("no space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(hands.ledger, "record", full)
        assert hands.enforcer.apply([hands.ban(X)])[0].done
        assert list(hands.firewall.blocked()) == [X]
        assert hands.ledger.active(1000.0) == []
    hands.reconciler.retry()
    assert [b.subject for b in hands.ledger.active(1000.0)] == [X]
    assert hands.enforcer.unrecorded == []


def test_a_ledger_that_cannot_be_read_stops_nothing(
    hands: Hands, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreadable(_: object) -> None:
        raise LedgerError("another process holds a lock on it")

    hands.ledger.record([hands.ban(X)])
    with monkeypatch.context() as broken:
        broken.setattr(hands.ledger, "histories", unreadable)
        broken.setattr(hands.ledger, "active", unreadable)
        broken.setattr(hands.ledger, "purge", unreadable)
        hands.enforcer.recall()
        hands.enforcer.tend()
        assert hands.enforcer.histories([X]) == {}
        assert hands.enforcer.apply([hands.ban(Y)])[0].done
    hands.enforcer.tend()
    assert set(hands.enforcer.standing) == {X, Y}
    assert hands.enforcer.histories([X])[X].strikes == 1


def test_the_ledger_drops_what_was_over_three_months_ago(hands: Hands) -> None:
    hands.ledger.record([hands.ban(X)])
    hands.now += 91 * 86400
    hands.enforcer.tend()
    assert hands.ledger.past() == []


def test_what_the_firewall_refuses_is_tried_again(
    hands: Hands, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(decisions: Sequence[Decision], now: float) -> None:
        raise FirewallError("Operation not permitted")

    with monkeypatch.context() as broken:
        broken.setattr(hands.firewall, "apply", refuse)
        hands.enforcer.apply([hands.ban(X)])
        assert hands.enforcer.state().health == "Operation not permitted"
    hands.reconciler.retry()
    assert list(hands.firewall.blocked()) == [X]
    assert hands.enforcer.state().health == "ok"


def test_a_notifier_that_fails_does_not_stop_the_next(hands: Hands) -> None:
    class Broken:
        name = "broken"

        def tell(self, decision: Decision) -> None:
            raise RuntimeError("out of order")

    hands.enforcer.notifiers.insert(0, Broken())
    hands.enforcer.apply([hands.ban(X)])
    assert len(hands.told) == 1


def test_bans_of_an_earlier_run_are_in_the_kernel_after_the_start(hands: Hands) -> None:
    hands.ledger.record([hands.ban(X), hands.ban(Y, None)])
    hands.enforcer.restore(hands.ledger.active(1000.0))
    hands.reconciler.start()
    assert set(hands.firewall.blocked()) == {X, Y}
    assert hands.told == []


def test_an_element_that_the_ledger_lost_is_adopted(hands: Hands) -> None:
    hands.firewall.apply([hands.ban(X, 1300.0)], 1000.0)
    hands.reconciler.start()
    (ban,) = hands.enforcer.bans()
    assert ban.subject == X
    assert ban.until == pytest.approx(1300.0, abs=1.0)
    assert [b.subject for b in hands.ledger.active(1000.0)] == [X]


def test_what_was_released_before_a_crash_is_not_adopted(hands: Hands) -> None:
    hands.ledger.record([hands.ban(X), Release(X, 1000.0, "operator")])
    hands.firewall.apply([hands.ban(X)], 1000.0)
    hands.reconciler.start()
    assert hands.enforcer.bans() == []
    assert hands.firewall.blocked() == {}


async def test_the_kernel_is_mended_where_it_differs(hands: Hands) -> None:
    hands.enforcer.apply([hands.ban(X)])
    hands.firewall.apply([Release(X, 1000.0, "expired"), hands.ban(Y)], 1000.0)
    await hands.reconciler.mend()
    assert list(hands.firewall.blocked()) == [X]
    assert hands.enforcer.state().repairs == 2
    await hands.reconciler.mend()
    assert hands.enforcer.state().repairs == 2


async def test_a_wrong_timeout_in_the_kernel_is_mended(hands: Hands) -> None:
    hands.enforcer.apply([hands.ban(X, 1600.0)])
    hands.firewall.apply([hands.ban(X, 1100.0)], 1000.0)
    await hands.reconciler.mend()
    assert hands.firewall.blocked()[X].remaining == pytest.approx(600.0)


class SmallFirewall(ObservingFirewall):
    """Has room for two."""

    def apply(self, decisions: Sequence[Decision], now: float) -> None:
        held = set(self.blocked()) | {d.subject for d in decisions if isinstance(d, Ban)}
        if len(held - {d.subject for d in decisions if isinstance(d, Release)}) > 2:
            raise FirewallError("full", recoverable=False)
        super().apply(decisions, now)

    def fitting(self, bans: Mapping[Network, Ban]) -> Mapping[Network, Ban]:
        return longest(bans, 2, version)


def test_of_too_many_bans_those_that_end_last_are_in_force() -> None:
    hands = Hands(SmallFirewall())
    short, middle, long = (Network(f"203.0.113.{n}") for n in (1, 2, 3))
    hands.enforcer.apply([hands.ban(short, 1100.0), hands.ban(middle, 1600.0)])
    hands.enforcer.apply([hands.ban(long, None)])
    assert set(hands.firewall.blocked()) == {middle, long}
    assert hands.enforcer.state().health == "full; 1 bans, those that end soonest, are left out"
    assert hands.enforcer.state().expected == 2
    hands.reconciler.retry()
    assert set(hands.firewall.blocked()) == {middle, long}
    hands.enforcer.apply([Release(long, 1001.0, "operator")])
    hands.reconciler.retry()
    assert set(hands.firewall.blocked()) == {short, middle}
    hands.reconciler.retry()
    assert hands.enforcer.state().health == "ok"


def test_a_ban_that_was_left_out_can_be_released() -> None:
    hands = Hands(SmallFirewall())
    one, two, three = (Network(f"203.0.113.{n}") for n in (1, 2, 3))
    hands.enforcer.apply([hands.ban(one, 1100.0), hands.ban(two), hands.ban(three)])
    hands.enforcer.apply([Release(one, 1001.0, "operator")])
    assert set(hands.firewall.blocked()) == {two, three}
    assert hands.enforcer.left_out == set()
    assert hands.enforcer.unapplied == {}
