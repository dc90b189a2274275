# durations.py: what people write, in seconds.
import pytest

from pyfilter.durations import duration, spoken
from pyfilter.errors import SettingsError


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (600, 600),
        ("600", 600),
        ("10m", 600),
        ("1d 12h", 129600),
        ("1d12h", 129600),
        (-1, -1),
        ("-1", -1),
        ("2 weeks", 1209600),
        ("90min", 5400),
    ],
)
def test_a_duration_is_seconds(value: str | float, seconds: float) -> None:
    assert duration(value) == seconds


@pytest.mark.parametrize(
    "value", ["", "m", "10x", "-5", -5, "1d -2h", float("nan"), float("inf"), True]
)
def test_what_is_no_duration_is_refused(value: str | float) -> None:
    with pytest.raises(SettingsError, match="is no duration"):
        duration(value)


def test_a_duration_is_spoken_in_two_units() -> None:
    assert spoken(129661) == "1d 12h"
    assert spoken(0) == "0s"
    assert spoken(-1) == "for ever"
