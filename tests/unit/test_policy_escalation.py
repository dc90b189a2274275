import pytest

from pyfilter.model import History, Limits
from pyfilter.policy import bantime, strike

HOUR, DAY = 3600.0, 86400.0
LIMITS = Limits(bantime=HOUR, bantime_max=30 * DAY)


@pytest.mark.parametrize(
    ("number", "hours"), [(1, 1), (2, 2), (3, 4), (10, 512), (11, 720), (5000, 720)]
)
def test_each_strike_doubles_the_ban_up_to_the_longest(number: int, hours: int) -> None:
    assert bantime(number, LIMITS) == hours * HOUR


def test_without_increment_every_ban_lasts_as_long() -> None:
    assert bantime(9, Limits(bantime=HOUR, bantime_increment=False)) == HOUR


def test_a_bantime_beyond_the_longest_is_not_shortened() -> None:
    assert bantime(2, Limits(bantime=60 * DAY, bantime_max=30 * DAY)) == 60 * DAY


def test_for_ever_stays_for_ever() -> None:
    assert bantime(1, Limits(bantime=-1)) is None
    assert bantime(3, Limits(bantime=HOUR, bantime_max=-1)) == 4 * HOUR


def test_the_first_ban_is_the_first_strike() -> None:
    assert strike(History(), LIMITS, 0) == 1


def test_coming_again_soon_adds_a_strike() -> None:
    assert strike(History(strikes=3, last_banned=0), LIMITS, 4 * HOUR + 1) == 4


def test_each_quiet_time_after_the_ban_takes_one_strike_off() -> None:
    history = History(strikes=3, last_banned=0)  # lasted 4 hours: a quiet time is 40 hours
    assert strike(history, LIMITS, 44 * HOUR) == 3
    assert strike(history, LIMITS, 84 * HOUR) == 2
    assert strike(history, LIMITS, 999 * HOUR) == 1


def test_a_quiet_time_is_a_day_at_least() -> None:
    short = Limits(bantime=60)
    assert strike(History(strikes=1), short, DAY) == 2
    assert strike(History(strikes=1), short, DAY + 60) == 1


def test_a_clock_that_went_back_forgives_nothing() -> None:
    assert strike(History(strikes=2, last_banned=1e9), LIMITS, 5) == 3


def test_a_ban_for_ever_forgives_nothing() -> None:
    assert strike(History(strikes=1, last_banned=0), Limits(bantime=-1), 1e9) == 2
