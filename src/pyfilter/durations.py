# Durations as people write them: seconds, "10m", "1d 12h"; -1 is for ever.
import re

from pyfilter.errors import SettingsError

FOREVER = -1.0
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_PART = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([smhdw])(?:ec|in|our|ay|eek)?s?", re.ASCII)


def duration(value: str | float) -> float:
    """Return seconds; -1 means for ever. Raises SettingsError for anything else."""
    if isinstance(value, bool):
        raise SettingsError(f'{value!r} is no duration; write seconds, "10m" or "1d 12h"')
    if isinstance(value, str):
        text = value.strip()
        try:
            value = float(text)
        except ValueError:
            return _sum_of_parts(text)
    if value == FOREVER or 0 <= value < float("inf"):
        return float(value)
    raise SettingsError(f'{value!r} is no duration; write seconds, "10m" or "1d 12h"')


def _sum_of_parts(text: str) -> float:
    total, end = 0.0, 0
    while match := _PART.match(text, end):
        total += float(match[1]) * _UNITS[match[2]]
        end = match.end()
    if end == 0 or text[end:].strip():
        raise SettingsError(f'{text!r} is no duration; write seconds, "10m" or "1d 12h"')
    return total


def spoken(seconds: float) -> str:
    """Return a duration in at most two units, the way people read it: `1d 12h`."""
    if seconds < 0:
        return "for ever"
    parts = []
    rest = round(seconds)
    for unit in ("d", "h", "m", "s"):
        count, rest = divmod(rest, _UNITS[unit])
        if count:
            parts.append(f"{count}{unit}")
    return " ".join(parts[:2]) or "0s"
