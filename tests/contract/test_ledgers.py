# Every ledger keeps the same contract.
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyfilter.addresses import Address, Network
from pyfilter.interfaces import Ledger
from pyfilter.ledger import AnyLedger, Memory, Sqlite
from pyfilter.model import Allowance, Ban, Decision, Event, History, Position, Release

HOST, OTHER, SIX = Network("192.0.2.1"), Network("192.0.2.2"), Network("2001:db8::/64")
EVIDENCE = tuple(
    Event("sshd", Address("192.0.2.1"), float(at), user="root", line=b"line %d" % at, port="4000")
    for at in range(30)
)


def ban(
    subject: Network = HOST,
    since: float = 1000.0,
    seconds: float | None = 600.0,
    *,
    rule: str = "sshd",
    strike: int = 1,
    observe: bool = False,
    evidence: tuple[Event, ...] = (),
) -> Ban:
    until = None if seconds is None else since + seconds
    return Ban(subject, since, until, "5 failures", rule, strike, "web01", "", observe, evidence)


@pytest.fixture(params=["sqlite", "memory"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ledger]:
    settings: AnyLedger = (
        Memory() if request.param == "memory" else Sqlite(str(tmp_path / "pyfilter.db"))
    )
    opened: Ledger = settings.open()
    yield opened
    opened.close()


def past(ledger: Ledger, subject: Network | None = None, rule: str = "") -> list[Decision]:
    return [decision for _, decision in ledger.past(subject=subject, rule=rule)]


def test_a_new_ledger_knows_nothing_and_is_well(ledger: Ledger) -> None:
    assert ledger.active(0) == []
    assert ledger.history(HOST) == History()
    assert past(ledger) == []
    assert ledger.load_position("/var/log/auth.log") is None
    assert ledger.allowances(0) == []
    assert ledger.counts(0) == {}
    assert ledger.evidence(HOST) == ()
    assert ledger.health() == "ok"


def test_bans_are_in_force_until_their_end(ledger: Ledger) -> None:
    short, long, ever = ban(), ban(OTHER, seconds=900), ban(SIX, seconds=None)
    ledger.record([short, long, ever])
    assert {each.subject for each in ledger.active(1599.9)} == {HOST, OTHER, SIX}
    assert {each.subject for each in ledger.active(1600)} == {OTHER, SIX}
    assert {each.subject for each in ledger.active(1e12)} == {SIX}


def test_a_ban_in_force_comes_back_whole_but_for_its_evidence(ledger: Ledger) -> None:
    whole = Ban(HOST, 1.5, 2.5, "because", "sshd", 3, "web01", "anna")
    ledger.record([whole])
    assert ledger.active(2) == [whole]


def test_a_release_ends_a_ban(ledger: Ledger) -> None:
    ledger.record([ban(), ban(OTHER)])
    ledger.record([Release(HOST, 1100, "operator", by="anna")])
    assert [each.subject for each in ledger.active(1200)] == [OTHER]
    assert ledger.history(HOST).last_released == 1100


def test_releasing_what_is_not_banned_is_remembered_and_no_error(ledger: Ledger) -> None:
    ledger.record([Release(HOST, 1100, "operator")])
    assert ledger.history(HOST) == History(0, 0, 1100)


def test_an_expiry_does_not_excuse_what_is_done_after_the_end(ledger: Ledger) -> None:
    ledger.record([ban(), Release(HOST, 1620, "expired")])
    assert ledger.active(1100) == []
    assert ledger.history(HOST) == History(1, 1000, 0)


def test_the_latest_ban_of_a_subject_is_the_one_in_force(ledger: Ledger) -> None:
    ledger.record([ban(), ban(since=1100, strike=2, rule="nginx")])
    assert ledger.active(1650) == [ban(since=1100, strike=2, rule="nginx")]
    assert ledger.history(HOST) == History(2, 1100, 0)


def test_the_same_decision_twice_changes_nothing(ledger: Ledger) -> None:
    decisions: list[Decision] = [
        ban(strike=2, evidence=EVIDENCE[:3]),
        Release(HOST, 1100, "operator"),
    ]
    ledger.record(decisions)
    ledger.record(decisions[:1])
    assert ledger.active(1200) == []
    assert ledger.history(HOST) == History(2, 1000, 1100)
    assert past(ledger) == decisions[::-1]


def test_the_same_ban_with_another_end_is_prolonged(ledger: Ledger) -> None:
    ledger.record([ban()])
    ledger.record([ban(seconds=6000)])
    assert ledger.active(5000) == [ban(seconds=6000)]
    assert past(ledger) == [ban(seconds=6000)]


def test_a_ban_by_hand_does_not_lower_the_strikes(ledger: Ledger) -> None:
    ledger.record([ban(strike=4), ban(since=2000, rule="", strike=1)])
    assert ledger.history(HOST).strikes == 4


def test_a_strike_forgiven_is_a_strike_less(ledger: Ledger) -> None:
    ledger.record([ban(strike=4), ban(since=9000, strike=2)])
    assert ledger.history(HOST).strikes == 2


def test_an_observed_ban_is_remembered_and_not_in_force(ledger: Ledger) -> None:
    ledger.record([ban(observe=True)])
    assert ledger.active(1100) == []
    assert ledger.history(HOST) == History()
    assert past(ledger) == [ban(observe=True)]


def test_a_ban_of_the_future_keeps_its_length_when_the_clock_went_back(ledger: Ledger) -> None:
    ledger.record([ban(since=9000), ban(OTHER, since=9000, seconds=None)])
    assert {each.subject: (each.since, each.until) for each in ledger.active(50)} == {
        HOST: (50, 650),
        OTHER: (50, None),
    }


def test_decisions_are_numbered_and_paged_newest_first(ledger: Ledger) -> None:
    ledger.record([ban(since=at) for at in range(10)])
    first = ledger.past(limit=4)
    second = ledger.past(limit=4, before=first[-1][0])
    assert [decision.since for _, decision in first + second if isinstance(decision, Ban)] == [
        *(9, 8, 7, 6),
        *(5, 4, 3, 2),
    ]
    numbers = [number for number, _ in first + second]
    assert numbers == sorted(numbers, reverse=True)


def test_the_past_can_be_asked_by_subject_and_by_rule(ledger: Ledger) -> None:
    of_host, of_nginx, release = ban(), ban(OTHER, rule="nginx"), Release(HOST, 5000, "operator")
    ledger.record([of_host, of_nginx, release])
    assert past(ledger, HOST) == [release, of_host]
    assert past(ledger, rule="nginx") == [of_nginx]
    assert past(ledger, HOST, "nginx") == []


def test_evidence_is_kept_with_twenty_lines_at_most(ledger: Ledger) -> None:
    ledger.record([ban(evidence=EVIDENCE)])
    assert ledger.evidence(HOST) == EVIDENCE[-20:]
    assert ledger.active(1100)[0].evidence == ()


def test_a_long_line_and_odd_names_can_be_kept(ledger: Ledger) -> None:
    odd = Event("sshd", Address("192.0.2.1"), 1.0, user="\udcff\x00\u2028", line=b"\xff" * 9999)
    ledger.record([ban(evidence=(odd,)), Release(HOST, 1, "operator", by="\udcff")])
    (event,) = ledger.evidence(HOST)
    assert event.line == b"\xff" * 500
    assert event.user == "\\udcff\x00\u2028"


def test_positions_are_replaced(ledger: Ledger) -> None:
    ledger.save_positions([Position("a", "1"), Position("b", "2")])
    ledger.save_positions([Position("a", "3")])
    assert ledger.load_position("a") == Position("a", "3")
    assert ledger.load_position("b") == Position("b", "2")


def test_allowances_end_by_themselves_or_when_taken_back(ledger: Ledger) -> None:
    week, ever = Allowance("192.0.2.0/24", 700.0, "office", "anna"), Allowance("home.example.net")
    ledger.allow(ever)
    ledger.allow(week)
    assert ledger.allowances(600) == [week, ever]
    assert ledger.allowances(700) == [ever]
    assert ledger.disallow("home.example.net")
    assert not ledger.disallow("home.example.net")
    assert ledger.allowances(600) == [week]


def test_tallies_add_up_by_rule_and_hour(ledger: Ledger) -> None:
    ledger.tally({("sshd", 10): (5, 1), ("sshd", 11): (2, 0), ("nginx", 11): (1, 0)})
    ledger.tally({("sshd", 11): (3, 1)})
    assert ledger.counts(10) == {"sshd": (10, 2), "nginx": (1, 0)}
    assert ledger.counts(11) == {"sshd": (5, 1), "nginx": (1, 0)}
    assert ledger.counts(12) == {}


def test_a_purge_drops_what_ended_before(ledger: Ledger) -> None:
    ever, old, new = ban(SIX, seconds=None), ban(evidence=EVIDENCE), ban(OTHER, since=9000)
    ledger.record([ever, old, Release(HOST, 1700, "expired"), new])
    ledger.allow(Allowance("192.0.2.9", until=100))
    ledger.tally({("sshd", 1): (5, 1), ("sshd", 2): (2, 0)})
    ledger.purge(2 * 3600.0)
    assert past(ledger) == [new, ever]
    assert ledger.history(HOST) == History()
    assert ledger.history(OTHER).strikes == 1
    assert ledger.history(SIX).strikes == 1
    assert {each.subject for each in ledger.active(9100)} == {OTHER, SIX}
    assert ledger.counts(0) == {"sshd": (2, 0)}
    assert ledger.evidence(HOST) == ()


def test_numbers_are_never_given_twice(ledger: Ledger) -> None:
    ledger.record([ban()])
    ((number, _),) = ledger.past()
    ledger.purge(1e9)
    ledger.record([ban(OTHER)])
    assert ledger.past()[0][0] > number
