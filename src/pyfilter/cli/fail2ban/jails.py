# fail2ban: its enabled jails, each with its filter, its limits and the logs it reads.
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct, structs

from pyfilter.cli.fail2ban.files import Sections
from pyfilter.cli.fail2ban.filters import Asked, FilterText, filter_text
from pyfilter.cli.fail2ban.tags import named
from pyfilter.durations import FOREVER
from pyfilter.errors import RefusedError, SettingsError
from pyfilter.settings.limits import entry

_YES = {"1", "on", "true", "yes"}
_SPAN = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*", re.IGNORECASE)
_DAY = 86400.0
_UNITS = (
    (r"y(?:y|ea|ears?)?", 365.25 * _DAY),
    (r"mo(?:n|nths?)?", 365.25 / 12 * _DAY),
    (r"w(?:w|ee|eeks?)?", 7 * _DAY),
    (r"d(?:d|a|ays?)?", _DAY),
    (r"h(?:h|ou|ours?)?", 3600.0),
    (r"m(?:m|in|inutes?|inute)?", 60.0),
    (r"s(?:s|ec|econds?)?", 1.0),
)
_TUNING = {"bantime.factor": "1", "bantime.formula": "", "bantime.multipliers": ""}
_BUILT_IN = {"maxretry": 3, "findtime": 600.0, "bantime": 600.0}  # where no file says
_LETS_IN = re.compile(r"blocktype\s*=\s*[\"']?(?:RETURN|ACCEPT)", re.IGNORECASE)
_STOCK = re.compile(r"jail\.conf|paths-.*\.conf")


class Jail(Struct, frozen=True):
    """A jail that is on."""

    name: str
    filter: str
    text: FilterText
    limits: dict[str, Any]
    logpath: tuple[str, ...] = ()  # files and globs
    journal: tuple[str, ...] = ()
    ignoreip: tuple[str, ...] = ()
    chosen: bool = False  # the user said himself where to read
    notes: tuple[str, ...] = ()


def enabled(sections: Sections) -> list[str]:
    return [name for name in sections.names() if is_on(sections, name, "enabled")]


def is_on(sections: Sections, name: str, key: str) -> bool:
    return (sections.get(name, key) or "").strip().lower() in _YES


def seconds(text: str) -> float:
    """Return a duration in fail2ban's units; less than nothing is for ever. Raises RefusedError."""
    if re.fullmatch(r"\s*-\s*\d[\w .]*", text):
        return FOREVER
    total, end = 0.0, 0
    while match := _SPAN.match(text, end):
        total += float(match[1]) * _unit(match[2], text)
        end = match.end()
    if end == 0 or end != len(text):
        raise RefusedError(f"{text!r} is no duration")
    return total


def _unit(name: str, text: str) -> float:
    for expression, value in _UNITS:
        if re.fullmatch(expression, name, re.IGNORECASE):
            return value
    if name:
        raise RefusedError(f"{text!r} is no duration")
    return 1.0


def limits(sections: Sections, name: str) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return the limits in force in a section, and notes on what has no like here."""
    found: dict[str, Any] = dict(_BUILT_IN) if name == "DEFAULT" else {}
    if text := sections.get(name, "maxretry"):
        found["maxretry"] = int(text) if text.strip().isdigit() else _no_number(text)
    for key in ("findtime", "bantime"):
        if text := sections.get(name, key):
            found[key] = seconds(text)
    found["bantime_increment"] = is_on(sections, name, "bantime.increment")
    notes = []
    if found["bantime_increment"]:
        most = sections.get(name, "bantime.maxtime")
        longest = seconds(most) if most else FOREVER
        first = found.get("bantime", 0.0)
        endless = FOREVER in (longest, first)
        found["bantime_max"] = FOREVER if endless else max(longest, first)
        for key, usual in _TUNING.items():
            if (sections.get(name, key) or usual).strip() != usual:
                notes.append(f"{key} has no like here: each further ban is twice as long")
    return found, tuple(notes)


def _no_number(text: str) -> int:
    raise RefusedError(f"maxretry = {text!r} is no number")


def ignored(sections: Sections, name: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the entries of ignoreip, and notes on those that are none."""
    entries, notes = [], []
    for text in re.split(r"[\s,]+", (sections.get(name, "ignoreip") or "").strip()):
        try:
            entries += [entry(text)] if text else []
        except SettingsError as error:
            notes.append(f"ignoreip: {error}")
    return tuple(entries), tuple(notes)


def jail(folder: Path, sections: Sections, name: str) -> Jail:
    """Return a jail that is on. Raises RefusedError with the reason why it cannot be taken."""
    used = named(sections.get(name, "filter") or _no_filter())
    _refuse_other_purposes(sections, name)
    backend = (sections.get(name, "backend") or "auto").strip()
    journalled = backend.startswith("systemd")
    arguments = {"logtype": "journal" if journalled else "file", **used.arguments}
    text = filter_text(folder, used.name, arguments, said_by(sections, name))
    names = (sections.get(name, "usedns") or "warn").strip().lower() != "no"
    text = structs.replace(text, names=names)
    if journalled and not text.journalmatch:
        raise RefusedError("it reads the whole journal: it names no journalmatch")
    paths = () if journalled else logpaths(sections.get(name, "logpath") or "")
    if not (journalled or paths):
        raise RefusedError("it has no logpath")
    limited, notes = limits(sections, name)
    entries, more = ignored(sections, name)
    return Jail(
        name=name,
        filter=used.name.removesuffix(".conf"),
        text=text,
        limits=limited,
        logpath=paths,
        journal=_matches(text.journalmatch) if journalled else (),
        ignoreip=entries,
        chosen=_chosen(sections, name),
        notes=(*notes, *more),
    )


def _no_filter() -> str:
    raise RefusedError("it names no filter")


def said_by(sections: Sections, name: str) -> Asked:
    """Return what tells what a jail says in place of its filter."""

    def said(key: str, known: Mapping[str, str]) -> str | None:
        return sections.get(name, key, known) if sections.raw(name, key) is not None else None

    return said


def _chosen(sections: Sections, name: str) -> bool:
    origin = sections.origin.get((name, "logpath"))
    return origin is not None and not _STOCK.fullmatch(origin.name)


def _refuse_other_purposes(sections: Sections, name: str) -> None:
    if (sections.get(name, "ignorecommand") or "").strip():
        raise RefusedError("its ignorecommand decides whom to ban; PyFilter runs no commands")
    try:
        action = sections.get(name, "action") or ""
    except RefusedError:
        action = sections.raw(name, "action") or ""  # for what it says of itself
    if _LETS_IN.search(action) or _LETS_IN.search(f"blocktype={sections.raw(name, 'blocktype')}"):
        raise RefusedError("its action lets in whom it finds, it does not ban")


def logpaths(text: str) -> tuple[str, ...]:
    """Return the files and globs of a logpath; `tail` and `head` behind them say nothing here."""
    lines = (re.sub(r"\s+(?:head|tail)$", "", line.strip()) for line in text.split("\n"))
    return tuple(line for line in lines if line)


def _matches(journalmatch: str) -> tuple[str, ...]:
    """Return journal matches; a unit may run as a user of its own, which fail2ban does not ask for."""
    parts = (part.strip() for part in re.split(r"\s\+\s", journalmatch))
    unit = "_SYSTEMD_UNIT="
    return tuple(
        f"{one} _UID=*" if unit in one and "_UID=" not in one else one for one in parts if one
    )
