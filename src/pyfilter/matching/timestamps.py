# Matching: when a line says it was written. Every known form of stamp, each distinct stamp parsed
# once; seconds since the epoch out. A stamp without a zone is local time.
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import NamedTuple

_MONTHS = {
    name: number
    for number, name in enumerate(b"Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(), 1)
}
_WEEKDAY = r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun),? "
_MONTH = r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
_CLOCK = r"\d\d:\d\d:\d\d(?:[.,]\d{1,9})?"
_ZONE = r"(?:Z| ?[+-]\d\d:?\d\d| [A-Z]{3,4})?"

# Every form, the longer before those that begin alike. The first letter says how it is read.
_FORMS = {
    "A": rf"{_WEEKDAY}{_MONTH} [ \d]?\d {_CLOCK}(?: [A-Z]{{3,4}})? \d{{4}}",
    "R": rf"{_WEEKDAY}\d{{1,2}} {_MONTH} \d{{4}} {_CLOCK}{_ZONE}",
    "I": rf"(?:{_WEEKDAY})?\d{{4}}-\d\d-\d\d(?:[T _]{_CLOCK}|  \d:\d\d:\d\d){_ZONE}",
    "S": rf"\d{{4}}/\d\d/\d\d {_CLOCK}{_ZONE}",
    "N": rf"\d\d-{_MONTH}-\d{{4}} {_CLOCK}{_ZONE}",
    "C": rf"\d\d/{_MONTH}/\d{{4}}:{_CLOCK}{_ZONE}",
    "B": rf"\d{{8}}[-T ]{_CLOCK}{_ZONE}",
    "Y": rf"{_MONTH} [ \d]?\d \d{{4}} {_CLOCK}",
    "L": rf"{_MONTH} [ \d]?\d {_CLOCK}",
    "M": r"\d{6} [ \d]?\d:\d\d:\d\d",
    "E": r"\d{10}(?:\.\d{1,9})?",
}
STAMP = "(?:" + "|".join(_FORMS.values()) + ")"
_SHAPES = re.compile(
    "|".join(f"(?P<{kind}>{form})" for kind, form in _FORMS.items()).encode(), re.ASCII
)
_FIND = re.compile(rb"(?<![\w.:-])" + STAMP.encode() + rb"(?!\w)")
_START = re.compile(rb'[\[("]*(?:\w+=["\[]?)?(' + STAMP.encode() + rb")(?!\w)")
_PARTED = re.compile(
    rb"(?P<second>\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d)[.,](?P<fraction>\d{1,9})(?P<zone>[^.]{0,7})"
    rb"|(?P<epoch>\d{10}\.\d{1,9})"
)
_NUMBERS = re.compile(rb"\d+")
_OFFSET = re.compile(rb"([+-])(\d\d):?(\d\d)$")
_FRACTION = re.compile(rb":\d\d[.,](\d{1,9})")
_NAME = re.compile(rb"[A-Z][a-z]{2}")
_KEEP = 4096  # distinct stamps remembered
_DAY = 86400.0
_LEAP = 60


class _Parts(NamedTuple):
    """A stamp's numbers; no year if it does not say one."""

    year: int | None
    month: int
    day: int
    clock: list[int]


class Stamps:
    """Reads stamps, each distinct one once."""

    def __init__(self, zone: tzinfo | None = None) -> None:
        self._zone = zone
        self._known: dict[bytes, float | None] = {}
        self._day = 0.0

    def __call__(self, raw: bytes, now: float) -> float | None:
        """Return seconds since the epoch of one stamp of any known form, None if it is none.

        A stamp without a year is of the year that puts it nearest to `now`.
        """
        self._refresh(now)
        try:
            return self._known[raw]
        except KeyError:
            pass
        parted = _PARTED.fullmatch(raw)  # a fraction makes every stamp another one
        if parted is None:
            return self._once(raw, now)
        if parted["epoch"]:
            return float(raw)
        second = self._once(parted["second"] + parted["zone"], now)
        return None if second is None else second + float(b"0." + parted["fraction"])

    def _once(self, raw: bytes, now: float) -> float | None:
        if raw not in self._known:
            self._known[raw] = self._read(raw, now)
        return self._known[raw]

    def in_line(self, line: bytes, now: float) -> float | None:
        """Return the time of the first known stamp in a line, None if there is none."""
        match = _FIND.search(line, 0, 512)
        return self(match[0], now) if match else None

    def at_start(self, line: bytes, now: float) -> float | None:
        """Return the time of the stamp that a line begins with, None if there is none."""
        match = _START.match(line)
        return self(match[1], now) if match else None

    def by_format(self, raw: bytes, form: str, now: float) -> float | None:
        """Return the time of a stamp written in a given strptime format, None if it is not."""
        self._refresh(now)
        key = form.encode() + b"\0" + raw
        if key not in self._known:
            self._known[key] = self._read_format(raw, form, now)
        return self._known[key]

    def _refresh(self, now: float) -> None:
        day = now // _DAY  # the nearest year may change with the day
        if day != self._day or len(self._known) > _KEEP:
            self._known.clear()
            self._day = day

    def _read(self, raw: bytes, now: float) -> float | None:
        shape = _SHAPES.fullmatch(raw)
        if not shape or not shape.lastgroup:
            return None
        if shape.lastgroup == "E":
            return float(raw)
        try:
            parts = _READERS[shape.lastgroup](raw)
            return self._placed(parts, raw, now)
        except (ValueError, OverflowError, KeyError):
            return None

    def _placed(self, parts: _Parts, raw: bytes, now: float) -> float:
        hour, minute, second = parts.clock[:3]
        fraction = _FRACTION.search(raw)
        leap = second == _LEAP  # a leap second is the next second
        rest = leap + (float(b"0." + fraction[1]) if fraction else 0.0)
        clock = datetime(2000, 1, 1, hour, minute, second - leap, tzinfo=_zone(raw))
        if parts.year is None:
            return self._nearest(parts.month, parts.day, clock, now) + rest
        return self._seconds(clock.replace(parts.year, parts.month, parts.day)) + rest

    def _read_format(self, raw: bytes, form: str, now: float) -> float | None:
        text = raw.decode("ascii", "replace")
        yearless = not re.search(r"%[YycxGs]", form)
        try:
            if not yearless:
                return self._seconds(datetime.strptime(text, form))  # noqa: DTZ007 - zone below
            found = datetime.strptime(f"2000 {text}", f"%Y {form}")  # noqa: DTZ007 - likewise
            if not re.search(r"%[bBmj]", form):
                today = self._local(now)
                return self._seconds(
                    found.replace(year=today.year, month=today.month, day=today.day)
                )
            return self._nearest(found.month, found.day, found, now)
        except (ValueError, OverflowError):
            return None

    def _local(self, now: float) -> datetime:
        return datetime.fromtimestamp(now, UTC).astimezone(self._zone)

    def _seconds(self, when: datetime) -> float:
        if when.tzinfo is None and self._zone is not None:
            when = when.replace(tzinfo=self._zone)
        return when.timestamp()

    def _nearest(self, month: int, day: int, clock: datetime, now: float) -> float:
        year = datetime.fromtimestamp(now, UTC).year
        found = []
        for candidate in (year, year - 1, year + 1, year - 2, year + 2, year - 3, year + 3):
            try:
                found.append(self._seconds(clock.replace(year=candidate, month=month, day=day)))
            except ValueError:  # February 29
                continue
        return min(found, key=lambda at: abs(at - now))


def _zone(raw: bytes) -> tzinfo | None:
    if raw.endswith((b"Z", b"UTC", b"GMT")) or b" UTC " in raw:
        return UTC
    offset = _OFFSET.search(raw, 12)
    if not offset:
        return None
    span = timedelta(hours=int(offset[2]), minutes=int(offset[3]))
    return timezone(-span if offset[1] == b"-" else span)


def _month(raw: bytes) -> int:
    return next(_MONTHS[name] for name in _NAME.findall(raw) if name in _MONTHS)


def _numeric(raw: bytes) -> _Parts:
    year, month, day, *clock = (int(part) for part in _NUMBERS.findall(raw)[:6])
    return _Parts(year, month, day, clock)


def _with_month(raw: bytes) -> _Parts:
    day, year, *clock = (int(part) for part in _NUMBERS.findall(raw)[:5])
    return _Parts(year, _month(raw), day, clock)


def _asctime(raw: bytes) -> _Parts:
    day, *clock = (int(part) for part in _NUMBERS.findall(raw)[:4])
    return _Parts(int(raw[-4:]), _month(raw), day, clock)


def _compact(raw: bytes) -> _Parts:
    clock = [int(part) for part in _NUMBERS.findall(raw, 9)[:3]]
    return _Parts(int(raw[:4]), int(raw[4:6]), int(raw[6:8]), clock)


def _mysql(raw: bytes) -> _Parts:
    clock = [int(part) for part in _NUMBERS.findall(raw, 7)[:3]]
    return _Parts(2000 + int(raw[:2]), int(raw[2:4]), int(raw[4:6]), clock)


def _syslog(raw: bytes) -> _Parts:
    day, *clock = (int(part) for part in _NUMBERS.findall(raw)[:4])
    return _Parts(None, _month(raw), day, clock)


_READERS: dict[str, Callable[[bytes], _Parts]] = {
    "A": _asctime,
    "R": _with_month,
    "I": _numeric,
    "S": _numeric,
    "N": _with_month,
    "C": _with_month,
    "B": _compact,
    "Y": _with_month,
    "L": _syslog,
    "M": _mysql,
}


def stamp(line: bytes, now: float) -> float | None:
    """Return the time of the first known stamp in a line, None if there is none."""
    return Stamps().in_line(line, now)
