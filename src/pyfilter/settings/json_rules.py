# settings: settings.rules of a config.json: the user's own expressions, or a rule of the library.
import re
from pathlib import Path
from typing import Literal

from msgspec import structs

from pyfilter.matching.cutting import foreign
from pyfilter.matching.rule import Pattern, Rule
from pyfilter.model import Limits
from pyfilter.settings.library import Library
from pyfilter.settings.rules import check_name, check_patterns
from pyfilter.settings.section import Section, nearest, shown
from pyfilter.settings.tree import RuleSettings

OURS = {"ssh": "sshd"}  # what the original calls it: what we call it
_OF_THE_ORIGINAL = ("ssh", "mysql", "apache", "nginx")
_PLAIN, _WEB = 2, 4
_GROUPS: dict[int, tuple[Literal["time", "ip", "url", "status", "either"], ...]] = {
    _PLAIN: ("either", "either"),
    _WEB: ("ip", "time", "url", "status"),
}


def read_rules(
    section: Section, limits: Limits, library: Library, checkout: Path
) -> tuple[dict[str, RuleSettings], tuple[str, ...]]:
    """Return the rules by name, and what a person should know of them."""
    rules, notes = {}, []
    for name in section.names():
        check_name(section, name)
        keys = section.section(name)
        if "regex_patterns" in keys:
            rule = _own(keys, name)
            notes.append(
                f"rule {name}: expressions of a config.json are searched anywhere in a line; "
                "an attacker who can write into the log can make them find any address"
            )
        else:
            rule = _library(keys, name, library)
        ours = "regex_patterns" not in keys
        logpath = _log_files(keys, checkout)
        rules[name] = RuleSettings(
            rule=rule,
            limits=limits,
            logpath=() if logpath is None and not ours else logpath,
            fallback=ours and bool(logpath),
        )
        keys.done()
    return rules, tuple(notes)


def _log_files(keys: Section, checkout: Path) -> tuple[str, ...] | None:
    key = "log_file" if "log_files" not in keys and "log_file" in keys else "log_files"
    if key not in keys:
        return None
    paths = [path for path in keys.texts(key) if path]
    for path in paths:
        if "\0" in path:
            raise keys.must(key, "a path, a glob or a list of them", path)
    return tuple(path if path == "-" else str(checkout / path) for path in paths)


def _library(keys: Section, name: str, library: Library) -> Rule:
    known = library.names()
    ours = OURS.get(name, name)
    urls, statuses = keys.texts("urls"), _statuses(keys)
    keys.text("time_format")  # our rules know every time
    if ours not in known and name in _OF_THE_ORIGINAL and _log_files(keys, Path()) == ():
        return Rule(name=name)  # it is there to say that it has nothing to read
    if ours not in known:
        hint = nearest(name, (*OURS, *known))
        reason = f"has no regex_patterns, and no rule of that name comes along{hint}"
        raise keys.missing("regex_patterns", reason)
    rule = library.rule(ours)
    if urls and statuses and rule.format == "line":
        chosen = (*rule.kinds, "urls") if rule.kinds else ()
        patterns = (*rule.patterns, _posts(urls, statuses))
        rule = structs.replace(rule, patterns=patterns, kinds=chosen)
    return structs.replace(rule, name=name)


def _posts(urls: tuple[str, ...], statuses: tuple[str, ...]) -> Pattern:
    """Return the access log line of a request for one of the URLs that was answered so."""
    paths = "|".join(re.escape(url).replace("<", r"\<") for url in urls)
    return Pattern(
        rf'^<ip> <quoted>\[<time>\] "<method> (?:{paths})<quoted>" (?:{"|".join(statuses)}) <*>$',
        kind="urls",
    )


def _own(keys: Section, name: str) -> Rule:
    listed = keys.raw("regex_patterns")
    if not isinstance(listed, list) or not listed:
        raise keys.must("regex_patterns", "a list of patterns", listed)
    patterns = tuple(_pattern(keys, one) for one in listed)
    statuses = _statuses(keys)
    if any("status" in pattern.groups for pattern in patterns) and not statuses:
        raise keys.wrong(
            "regex_patterns", "a pattern with a status needs the list http_status_blocks"
        )
    keys.texts("urls")
    rule = Rule(name=name, patterns=patterns, time_format=_time_format(keys), statuses=statuses)
    check_patterns(keys, "regex_patterns", rule)
    return rule


def _time_format(keys: Section) -> str:
    text = keys.text("time_format")
    if not text:
        raise keys.wrong("time_format", 'is missing; write it as for strptime, "%b %d %H:%M:%S"')
    if "%" not in text:
        raise keys.must("time_format", 'a format of strptime like "%b %d %H:%M:%S"', text)
    return text


def _statuses(keys: Section) -> tuple[str, ...]:
    listed = keys.raw("http_status_blocks", [])
    known = isinstance(listed, list) and all(
        isinstance(one, int | str) and re.fullmatch("[1-5][0-9][0-9]", str(one)) for one in listed
    )
    if not known:
        raise keys.must("http_status_blocks", "a list of HTTP statuses like 401", listed)
    return tuple(str(one) for one in listed)


def _pattern(keys: Section, written: object) -> Pattern:
    match written:
        case str(text):
            ban = False
        case [str(text), bool(ban)]:
            pass
        case [str(text), str(place)]:
            text, ban = _filled(keys, text, place), False
        case _:
            raise keys.must(
                "regex_patterns", 'each a text, [text, true] or [text, "urls"]', written
            )
    count = _groups(keys, text)
    if count not in _GROUPS:
        raise keys.wrong(
            "regex_patterns",
            f"{shown(text)} has {count} group{'s' * (count != 1)}; "
            "it needs two, the time and the address, "
            "or four: address, time, url, status",
        )
    return Pattern(text, groups=_GROUPS[count], ban=ban)


def _filled(keys: Section, text: str, place: str) -> str:
    """Return a pattern with the list that it names in place of its `{}`.

    The original used str.format, where further braces stand double; single ones are taken too.
    """
    values = keys.texts(place)
    if not values:
        hint = nearest(place, [name for name in keys.names() if name != place])
        raise keys.wrong("regex_patterns", f"takes the list {shown(place)}, which is missing{hint}")
    joined = "|".join(values)
    try:
        return text.format(joined)
    except (LookupError, ValueError):
        return text.replace("{}", joined)


def _groups(keys: Section, text: str) -> int:
    try:
        return foreign(text).groups
    except (re.error, RecursionError, OverflowError) as error:
        raise keys.wrong(
            "regex_patterns", f"{shown(text)} is no regular expression: {error}"
        ) from None
