# Matching: the forms of stamps that services write, and how the numbers of each are read.
import re
from collections.abc import Callable
from datetime import UTC, timedelta, timezone, tzinfo
from typing import NamedTuple

_MONTHS = {
    name: number
    for number, name in enumerate(b"Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(), 1)
}
_WEEKDAY = r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun),? "
_MONTH = r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
_CLOCK = r"\d\d:\d\d:\d\d(?:[.,]\d{1,9})?"
_ZONE = r"(?:Z| ?[+-]\d\d(?::?\d\d)?| [A-Z]{3,4})?"  # many zones have no name but `+03`

# Every form, the longer before those that begin alike. The first letter says how it is read.
FORMS = {
    "A": rf"{_WEEKDAY}{_MONTH} [ \d]?\d {_CLOCK}(?: [A-Z]{{3,4}})? \d{{4}}",
    "R": rf"{_WEEKDAY}\d{{1,2}} {_MONTH} \d{{4}} {_CLOCK}{_ZONE}",
    "I": rf"(?:{_WEEKDAY})?\d{{4}}-\d\d-\d\d(?:[T _]{_CLOCK}|  \d:\d\d:\d\d){_ZONE}",
    "S": rf"\d{{4}}/\d\d/\d\d {_CLOCK}{_ZONE}",
    "N": rf"\d\d-{_MONTH}-\d{{4}} {_CLOCK}{_ZONE}",
    "C": rf"\d\d/{_MONTH}/\d{{4}}:{_CLOCK}{_ZONE}",
    "B": rf"\d{{8}}[-T ]{_CLOCK}{_ZONE}",
    "Y": rf"{_MONTH} [ \d]?\d \d{{4}} {_CLOCK}",
    "F": rf"\d{{4}} {_MONTH} [ \d]?\d {_CLOCK}",
    "L": rf"{_MONTH} [ \d]?\d {_CLOCK}",
    "M": r"\d{6} [ \d]?\d:\d\d:\d\d",
    "E": r"\d{10}(?:\.\d{1,9})?",
}
STAMP = "(?:" + "|".join(FORMS.values()) + ")"
# What fail2ban cuts out of a line: no names of zones, and a few forms more, read as no time.
_OFFSET_ZONE = r"(?:\s*(?:Z|UTC|GMT|[+-][01]\d:?[0-5]\d))?"
_CUT = (
    rf"{_MONTH} [ \d]?\d {_CLOCK} 20\d\d(?![\w:])",
    *(
        form.replace(_ZONE, _OFFSET_ZONE).replace("(?: [A-Z]{3,4})?", "")
        for kind, form in FORMS.items()
        if kind not in "EF"
    ),
    rf"\d{{1,2}}[-/.](?:\d{{1,2}}|{_MONTH})[-/.]\d{{2,4}}[ :@]{_CLOCK}(?: [AP]M)?{_OFFSET_ZONE}",
    rf"\d{{4}}[-/.]\d\d[-/.]\d\d[ T]{_CLOCK}{_OFFSET_ZONE}",
    rf"{_MONTH}-\d\d-\d{{2,4}} {_CLOCK}",
    rf"{_MONTH} \d\d?, \d{{4}} \d\d?:\d\d:\d\d [AP]M",
    r"(?:(?<![\s\S])|(?<=^\[)|(?<=audit\())\d{10,11}(?:\.\d{3,6})?",
)
CUT_STAMP = "(?:" + "|".join(_CUT) + ")"
SHAPES = re.compile(
    "|".join(f"(?P<{kind}>{form})" for kind, form in FORMS.items()).encode(), re.ASCII
)
_NUMBERS = re.compile(rb"\d+")
_OFFSET = re.compile(rb"([+-])(\d\d):?(\d\d)?$")
FRACTION = re.compile(rb":\d\d[.,](\d{1,9})")
_NAME = re.compile(rb"[A-Z][a-z]{2}")


class Parts(NamedTuple):
    """A stamp's numbers; no year if it does not say one."""

    year: int | None
    month: int
    day: int
    clock: list[int]


def zone_of(raw: bytes) -> tzinfo | None:
    if raw.endswith((b"Z", b"UTC", b"GMT")) or b" UTC " in raw:
        return UTC
    offset = _OFFSET.search(raw, 12)
    if not offset:
        return None
    span = timedelta(hours=int(offset[2]), minutes=int(offset[3] or 0))
    return timezone(-span if offset[1] == b"-" else span)


def _month(raw: bytes) -> int:
    return next(_MONTHS[name] for name in _NAME.findall(raw) if name in _MONTHS)


def _numeric(raw: bytes) -> Parts:
    year, month, day, *clock = (int(part) for part in _NUMBERS.findall(raw)[:6])
    return Parts(year, month, day, clock)


def _with_month(raw: bytes) -> Parts:
    day, year, *clock = (int(part) for part in _NUMBERS.findall(raw)[:5])
    return Parts(year, _month(raw), day, clock)


def _year_first(raw: bytes) -> Parts:
    year, day, *clock = (int(part) for part in _NUMBERS.findall(raw)[:5])
    return Parts(year, _month(raw), day, clock)


def _asctime(raw: bytes) -> Parts:
    day, *clock = (int(part) for part in _NUMBERS.findall(raw)[:4])
    return Parts(int(raw[-4:]), _month(raw), day, clock)


def _compact(raw: bytes) -> Parts:
    clock = [int(part) for part in _NUMBERS.findall(raw, 9)[:3]]
    return Parts(int(raw[:4]), int(raw[4:6]), int(raw[6:8]), clock)


def _mysql(raw: bytes) -> Parts:
    clock = [int(part) for part in _NUMBERS.findall(raw, 7)[:3]]
    return Parts(2000 + int(raw[:2]), int(raw[2:4]), int(raw[4:6]), clock)


def _syslog(raw: bytes) -> Parts:
    day, *clock = (int(part) for part in _NUMBERS.findall(raw)[:4])
    return Parts(None, _month(raw), day, clock)


READERS: dict[str, Callable[[bytes], Parts]] = {
    "A": _asctime,
    "R": _with_month,
    "I": _numeric,
    "S": _numeric,
    "N": _with_month,
    "C": _with_month,
    "B": _compact,
    "Y": _with_month,
    "F": _year_first,
    "L": _syslog,
    "M": _mysql,
}
