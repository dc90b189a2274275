# Matching: when a line says it was written. Every known form of stamp, each distinct stamp parsed
# once; seconds since the epoch out. A stamp without a zone is local time.
import re
from datetime import UTC, datetime, tzinfo

from pyfilter.matching.forms import FRACTION, READERS, SHAPES, STAMP, Parts, zone_of

_FIND = re.compile(rb"(?<![\w.:-])" + STAMP.encode() + rb"(?!\w)")
_START = re.compile(rb'[\[("]*(?:\w+=["\[]?)?(' + STAMP.encode() + rb")(?!\w)")
_PARTED = re.compile(
    rb"(?P<second>\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d)[.,](?P<fraction>\d{1,9})(?P<zone>[^.]{0,7})"
    rb"|(?P<epoch>\d{10}\.\d{1,9})"
)
_KEEP = 4096  # distinct stamps remembered
_DAY = 86400.0
_LEAP = 60
_NANO = 9  # digits of a fraction


class Stamps:
    """Reads stamps, each distinct one once."""

    def __init__(self, zone: tzinfo | None = None) -> None:
        self._zone = zone
        self._known: dict[bytes, float | None] = {}
        self._texts: dict[str, tuple[float, float | None]] = {}
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

    def of_text(self, text: str, now: float) -> float | None:
        """Return the same of a stamp held as text, quicker where only the fraction is new."""
        if text[19:20] == "." and text[4:5] == "-":
            width = 1 if text[-1] == "Z" else 6
            fraction, zone = text[20:-width], text[-width:]
            if fraction.isdecimal() and zone[0] in "Z+-" and len(fraction) <= _NANO:
                second = self._of_known(text[:19] + zone, now)
                return None if second is None else second + float(f"0.{fraction}")
        return self._of_known(text, now)

    def _of_known(self, text: str, now: float) -> float | None:
        try:
            day, found = self._texts[text]
            if day == now // _DAY:
                return found
        except KeyError:
            if len(self._texts) > _KEEP:
                self._texts.clear()
        found = self(text.encode("latin-1"), now)
        self._texts[text] = (now // _DAY, found)
        return found

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
        shape = SHAPES.fullmatch(raw)
        if not shape or not shape.lastgroup:
            return None
        if shape.lastgroup == "E":
            return float(raw)
        try:
            parts = READERS[shape.lastgroup](raw)
            return self._placed(parts, raw, now)
        except (ValueError, OverflowError, KeyError):
            return None

    def _placed(self, parts: Parts, raw: bytes, now: float) -> float:
        hour, minute, second = parts.clock[:3]
        fraction = FRACTION.search(raw)
        leap = second == _LEAP  # a leap second is the next second
        rest = leap + (float(b"0." + fraction[1]) if fraction else 0.0)
        clock = datetime(2000, 1, 1, hour, minute, second - leap, tzinfo=zone_of(raw))
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


def stamp(line: bytes, now: float) -> float | None:
    """Return the time of the first known stamp in a line, None if there is none."""
    return Stamps().in_line(line, now)
