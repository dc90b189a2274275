from datetime import UTC, datetime, timedelta, timezone

import pytest

from pyfilter.matching.timestamps import Stamps, stamp

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC).timestamp()
PLACE = timezone(timedelta(hours=1))


def utc(text: str) -> float:
    return datetime.fromisoformat(f"{text}+00:00").timestamp()


@pytest.mark.parametrize(
    ("raw", "meant"),
    [
        ("Nov 22 05:21:20", "2026-11-22 04:21:20"),
        ("Nov  3 05:21:20", "2026-11-03 04:21:20"),
        ("Nov 3 05:21:20.5", "2026-11-03 04:21:20.500000"),
        ("Nov 22 2026 05:21:20", "2026-11-22 04:21:20"),
        ("2026-11-22T05:21:20.123456+02:00", "2026-11-22 03:21:20.123456"),
        ("2026-11-22T05:21:20Z", "2026-11-22 05:21:20"),
        ("2026-11-22T05:21:20+0530", "2026-11-21 23:51:20"),
        ("2026-11-22 05:21:20,123", "2026-11-22 04:21:20.123000"),
        ("2026-11-22 05:21:20.123 UTC", "2026-11-22 05:21:20.123000"),
        ("2026-11-22 05:21:20 CET", "2026-11-22 04:21:20"),
        ("2026-11-22 05:21:20.5 +03", "2026-11-22 02:21:20.500000"),
        ("2026-11-22T05:21:20-03", "2026-11-22 08:21:20"),
        ("2026 Nov 22 05:21:20", "2026-11-22 04:21:20"),
        ("2026 Nov  3 05:21:20.25", "2026-11-03 04:21:20.250000"),
        ("Sun 2026-11-22 05:21:20 UTC", "2026-11-22 05:21:20"),
        ("1795324880.25", "2026-11-22 05:21:20.250000"),
        ("1795324880", "2026-11-22 05:21:20"),
        ("22/Nov/2026:05:21:20 +0000", "2026-11-22 05:21:20"),
        ("22/Nov/2026:05:21:20 -0800", "2026-11-22 13:21:20"),
        ("2026/11/22 05:21:20", "2026-11-22 04:21:20"),
        ("Sun Nov 22 05:21:20 2026", "2026-11-22 04:21:20"),
        ("Sun Nov 22 05:21:20.123456 2026", "2026-11-22 04:21:20.123456"),
        ("Sun Nov 22 05:21:20 UTC 2026", "2026-11-22 05:21:20"),
        ("Sun, 22 Nov 2026 05:21:20 +0000", "2026-11-22 05:21:20"),
        ("22-Nov-2026 05:21:20.123", "2026-11-22 04:21:20.123000"),
        ("20261122-05:21:20", "2026-11-22 04:21:20"),
        ("261122  5:21:20", "2026-11-22 04:21:20"),
        ("2026-12-31T23:59:60Z", "2027-01-01 00:00:00"),
    ],
)
def test_every_form_of_stamp_is_read(raw: str, meant: str) -> None:
    stamps = Stamps(PLACE)
    assert stamps(raw.encode(), NOW) == pytest.approx(utc(meant), abs=1e-6)
    assert stamps.of_text(raw, NOW) == stamps(raw.encode(), NOW)
    assert stamps.at_start(f"{raw} host".encode(), NOW) == stamps(raw.encode(), NOW)


@pytest.mark.parametrize("raw", ["", "yesterday", "Feb 30 05:21:20", "2026-13-01T00:00:00Z"])
def test_what_is_no_time_is_none(raw: str) -> None:
    assert Stamps(UTC)(raw.encode(), NOW) is None


@pytest.mark.parametrize(
    ("now", "raw", "meant"),
    [
        ("2027-01-01 00:10:00", "Dec 31 23:59:00", "2026-12-31 23:59:00"),
        ("2026-12-31 23:59:00", "Jan  1 00:10:00", "2027-01-01 00:10:00"),
        ("2026-03-01 00:00:00", "Feb 29 12:00:00", "2024-02-29 12:00:00"),
        ("2028-03-01 00:00:00", "Feb 29 12:00:00", "2028-02-29 12:00:00"),
    ],
)
def test_a_stamp_without_a_year_is_of_the_nearest(now: str, raw: str, meant: str) -> None:
    assert Stamps(UTC)(raw.encode(), utc(now)) == utc(meant)


def test_the_nearest_year_is_found_anew_as_time_goes_on() -> None:
    stamps = Stamps(UTC)
    assert stamps(b"Dec 31 23:59:00", utc("2026-12-31 23:59:30")) == utc("2026-12-31 23:59:00")
    assert stamps(b"Dec 31 23:59:00", utc("2027-12-31 23:59:30")) == utc("2027-12-31 23:59:00")
    assert stamps.of_text("Dec 31 23:59:00", utc("2026-12-31 23:59:30")) == utc(
        "2026-12-31 23:59:00"
    )
    assert stamps.of_text("Dec 31 23:59:00", utc("2027-12-31 23:59:30")) == utc(
        "2027-12-31 23:59:00"
    )


@pytest.mark.parametrize(
    ("form", "raw", "meant"),
    [
        ("%b %d %H:%M:%S", "Nov 22 05:21:20", "2026-11-22 05:21:20"),
        ("%d/%b/%Y:%H:%M:%S %z", "22/Nov/2026:05:21:20 +0100", "2026-11-22 04:21:20"),
        ("%H:%M:%S", "05:21:20", "2026-11-22 05:21:20"),
    ],
)
def test_a_users_own_form_is_read(form: str, raw: str, meant: str) -> None:
    assert Stamps(UTC).by_format(raw.encode(), form, NOW) == utc(meant)
    assert Stamps(UTC).by_format(b"nonsense", form, NOW) is None


def test_the_first_stamp_in_a_line_is_found() -> None:
    line = b'192.0.2.1 - - [22/Nov/2026:05:21:20 +0000] "GET /2020-01-01T00:00:00Z"'
    assert stamp(line, NOW) == utc("2026-11-22 05:21:20")
    assert stamp(b"no time here", NOW) is None
    assert Stamps(UTC).at_start(line, NOW) is None


def test_the_memory_of_stamps_is_bounded() -> None:
    stamps = Stamps(UTC)
    for second in range(20_000):
        stamps(str(1_700_000_000 + second).encode(), NOW)
        stamps.of_text(str(1_700_000_000 + second), NOW)
    assert len(stamps._known) < 5_000
    assert len(stamps._texts) < 5_000
