# settings: the keys that say what a rule tolerates, alike in [defaults], [rules.X] and rule files.
import re
from collections.abc import Callable
from typing import Any

from msgspec import structs

from pyfilter.addresses import network
from pyfilter.durations import FOREVER
from pyfilter.errors import AddressError, SettingsError
from pyfilter.model import Limits
from pyfilter.settings.section import Section

_COUNT_MOST = 1_000_000
_HOST = re.compile(r"(?=.{1,253}\Z)(?:(?!-)[a-z0-9_-]{1,63}(?<!-)\.)*(?!-)[a-z0-9_-]{1,63}(?<!-)")


def read_limits(section: Section) -> dict[str, Any]:
    """Return only the limits that are written there, checked, durations in seconds."""
    readers: dict[str, Callable[[str], object]] = {
        "maxretry": lambda key: section.whole(key, 0, 1, _COUNT_MOST),
        "findtime": section.seconds,
        "counting": lambda key: section.choice(key, "", ("window", "streak")),
        "request_time": section.seconds,
        "bantime": lambda key: section.seconds(key, forever=True),
        "bantime_increment": section.flag,
        "bantime_max": lambda key: section.seconds(key, forever=True),
        "ipv6_prefix": lambda key: section.whole(key, 0, 48, 128),
    }
    written: dict[str, Any] = {key: read(key) for key, read in readers.items() if key in section}
    base, most = written.get("bantime"), written.get("bantime_max")
    if base is not None and most is not None and FOREVER not in {base, most} and base > most:
        raise section.wrong("bantime_max", "must not be shorter than bantime")
    return written


def layered(*layers: dict[str, Any]) -> Limits:
    """Return limits in which a later layer wins; a longer bantime lifts an inherited maximum."""
    merged: dict[str, Any] = {}
    for layer in layers:
        merged |= layer
    limits = Limits(**merged)
    if limits.bantime_max != FOREVER and limits.bantime > limits.bantime_max:
        limits = structs.replace(limits, bantime_max=limits.bantime)
    return limits


def read_entries(section: Section, key: str, default: tuple[str, ...]) -> tuple[str, ...]:
    """Return addresses, networks and host names, canonical; names are resolved elsewhere."""
    entries = []
    for text in section.texts(key, default):
        try:
            entries.append(entry(text))
        except SettingsError as error:
            raise section.wrong(key, str(error)) from None
    return tuple(entries)


def entry(text: str) -> str:
    """Return the canonical form of an address, network or host name (RFC 1123), or raise."""
    try:
        return network(text)
    except AddressError:
        name = text.lower().removesuffix(".")
        if _HOST.fullmatch(name) and not name.rpartition(".")[2].isdigit():
            return name
        raise SettingsError(f'"{text}" is no address, network or host name') from None
