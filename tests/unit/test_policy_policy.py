import pytest

from pyfilter.addresses import Address, Network
from pyfilter.model import AT_ONCE, Ban, Event, History, Limits, Offence
from pyfilter.policy import judge

HOST = Network("203.0.113.7")
LIMITS = Limits(maxretry=5, bantime=600)


def offence(*times: float, weight: float = 1.0, users: tuple[str, ...] = ("root",)) -> Offence:
    events = tuple(
        Event("sshd", Address(HOST), at, weight, users[number % len(users)])
        for number, at in enumerate(times)
    )
    return Offence("sshd", HOST, times[-1], events)


def verdict(
    case: Offence, history: History | None = None, limits: Limits = LIMITS, now: float = 1000.0
) -> Ban | None:
    return judge(case, limits, history or History(), now, "web01", observe=False)


FIVE = offence(900, 910, 920, 930, 942)


def test_an_offence_bans_for_bantime_and_says_why() -> None:
    ban = verdict(FIVE)
    assert ban is not None
    assert (ban.subject, ban.since, ban.until, ban.strike) == (HOST, 1000, 1600, 1)
    assert ban.reason == "5 sshd failures in 42s, last user root"
    assert (ban.rule, ban.origin, ban.evidence) == ("sshd", "web01", FIVE.evidence)


def test_events_from_before_the_last_ban_do_not_ban_again() -> None:
    assert verdict(FIVE, History(strikes=1, last_banned=942)) is None


def test_events_from_before_a_release_do_not_undo_it() -> None:
    assert verdict(FIVE, History(last_banned=100, last_released=920)) is None


def test_what_came_after_a_release_counts_if_it_reaches_the_limit() -> None:
    ban = verdict(offence(900, 910, 920, 930, 940, 950, 960), History(last_released=910))
    assert ban is not None
    assert [event.at for event in ban.evidence] == [920, 930, 940, 950, 960]


def test_a_decision_from_a_clock_that_was_ahead_blinds_nobody() -> None:
    assert verdict(FIVE, History(strikes=1, last_banned=5000, last_released=5000)) is not None


def test_minus_one_bans_for_ever() -> None:
    ban = verdict(FIVE, limits=Limits(bantime=-1))
    assert ban is not None
    assert ban.until is None


def test_a_bantime_of_zero_bans_nobody() -> None:
    assert verdict(FIVE, limits=Limits(bantime=0)) is None


def test_a_repeated_offender_is_banned_for_longer() -> None:
    ban = verdict(FIVE, History(strikes=2, last_banned=800))
    assert ban is not None
    assert (ban.strike, ban.until) == (3, 1000 + 4 * 600)


def test_an_observed_ban_says_so() -> None:
    ban = judge(FIVE, LIMITS, History(), 1000, "", observe=True)
    assert ban is not None
    assert ban.observe


def test_a_site_is_not_banned_again_by_part_of_its_evidence() -> None:
    site = Offence("sshd", Network("2001:db8::/48"), 942, FIVE.evidence * 4)
    assert verdict(site, History(last_released=900)) is None
    assert verdict(site) is not None


@pytest.mark.parametrize(
    ("case", "reason"),
    [
        (offence(1, weight=AT_ONCE), "sshd auth, banned at once, last user root"),
        (offence(1, users=("",)), "1 sshd failure"),
        (offence(1, 2, users=("a\nb",)), r"2 sshd failures in 1s, last user a\nb"),
        (Offence("sshd", HOST, 1), "sshd limit reached"),
    ],
)
def test_the_reason_is_short_and_safe_to_show(case: Offence, reason: str) -> None:
    ban = verdict(case)
    assert ban is not None
    assert ban.reason == reason
