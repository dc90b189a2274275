# settings: [rules.X]: a rule of the library with the user's limits, or one of the user's own.
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any, Literal, get_args

from msgspec import structs

from pyfilter.errors import PyfilterError, RuleError
from pyfilter.matching.rule import Found, Pattern, Rule
from pyfilter.settings.library import Library
from pyfilter.settings.limits import layered, read_entries, read_limits
from pyfilter.settings.section import Section, nearest, shown
from pyfilter.settings.tree import RuleSettings
from pyfilter.visible import visible

_NAME_LONGEST = 64
_WEIGHT_MOST = 1_000_000.0

Format = Literal["syslog", "line", "json", "cut"]


def read_rules(
    section: Section, common: dict[str, Any], library: Library
) -> dict[str, RuleSettings]:
    """Return the rules that are on; `common` are the limits the user set for all."""
    rules = {}
    for name in section.names():
        check_name(section, name)
        rules[name] = _read_rule(section, name, common, library)
    return rules


def _read_rule(
    section: Section, name: str, common: dict[str, Any], library: Library
) -> RuleSettings:
    keys = section.section(name)
    if "pattern" in keys:
        rule = own(keys, name)
    elif name in library.names():
        rule = _kinds(keys, library.rule(name))
    else:
        hint = nearest(name, library.names()) or "; a rule of your own needs a pattern"
        raise keys.missing("pattern", f"unknown rule{hint}")
    rule = structs.replace(rule, ignore=rule.ignore + keys.texts("ignore"))
    settings = RuleSettings(
        rule=rule,
        limits=layered(limits_of(rule), common, read_limits(keys)),
        logpath=_logpath(keys),
        observe=keys.flag("observe"),
        ignoreip=read_entries(keys, "ignoreip", ()),
    )
    keys.done()
    if "pattern" in keys or "ignore" in keys:
        check_patterns(keys, "pattern" if "pattern" in keys else "ignore", rule)
    if "pattern" in keys and settings.logpath is None and not rule.journal:
        raise section.wrong(name, "a rule of your own needs a logpath")
    return settings


def porous(rules: Mapping[str, RuleSettings]) -> Iterator[str]:
    """Say which logs that a person named let visitors write whole lines."""
    for name, one in rules.items():
        for path in one.logpath or ():
            if any(fnmatchcase(path, glob) for glob in one.rule.porous):
                yield (
                    f"rule {name}: visitors can write whole lines into {path} and have others banned;"
                    f" leave it out unless {one.rule.title} refuses line breaks in requests"
                )


def check_name(section: Section, name: str) -> None:
    """Raise SettingsError for a name that could not be shown as it is."""
    if not name or visible(name, _NAME_LONGEST) != name:
        raise section.wrong(name, f"must have a name of at most {_NAME_LONGEST} printable signs")


def check_patterns(keys: Section, key: str, rule: Rule) -> None:
    """Raise SettingsError where the user's own patterns are refused, naming their line."""
    from pyfilter.matching.reading import Reader  # noqa: PLC0415 # most configurations have none

    try:
        Reader(rule).prepare()
    except RuleError as error:
        raise keys.wrong(key, str(error).removeprefix(f"rule {rule.name}: ")) from None


def limits_of(rule: Rule) -> dict[str, Any]:
    """Return a rule file's own limits, durations in seconds; raises what the file has wrong."""

    def complain(path: tuple[str, ...], reason: str) -> PyfilterError:
        return RuleError(f"rule {rule.name}: limits.{'.'.join(path)}: {reason}")

    section = Section(rule.limits, complain)
    limits = read_limits(section)
    section.done()
    return limits


def _kinds(keys: Section, rule: Rule) -> Rule:
    chosen = keys.texts("kinds")
    known = sorted({pattern.kind for pattern in rule.patterns})
    for kind in chosen:
        if kind not in known:
            raise keys.wrong(
                "kinds",
                f"{shown(kind)} is no kind of {rule.name}{nearest(kind, known)}"
                f" (it knows {', '.join(known)})",
            )
    return structs.replace(rule, kinds=chosen) if chosen else rule


def own(keys: Section, name: str) -> Rule:
    """Return the rule that a user wrote in [rules.NAME]."""
    tags = keys.texts("tags")
    return Rule(
        name=name,
        title=keys.text("title"),
        format=_format(keys, "syslog" if tags else "line"),
        tags=tags,
        fields=_fields(keys),
        patterns=_patterns(keys),
        journal=keys.texts("journal"),
        stamp=keys.texts("stamp"),
        content=_pattern(keys, keys.raw("content")) if "content" in keys else None,
        time_format=keys.text("time_format"),
        statuses=keys.texts("statuses"),
    )


def _format(keys: Section, default: Format) -> Format:
    value = keys.choice("format", default, get_args(Format))
    return next(name for name in get_args(Format) if name == value)


def _fields(keys: Section) -> dict[str, str]:
    section = keys.section("fields")
    return {name: section.text(name) for name in section.names()}


def _patterns(keys: Section) -> tuple[Pattern, ...]:
    value = keys.raw("pattern")
    listed = value if isinstance(value, list) else [value]
    if not listed:
        raise keys.wrong("pattern", "must name at least one pattern")
    return tuple(_pattern(keys, one) for one in listed)


def _pattern(keys: Section, written: object) -> Pattern:
    if isinstance(written, str):
        return Pattern(written)
    if not isinstance(written, dict):
        raise keys.must("pattern", "a text, a table, or a list of them", written)
    table = keys.nested("pattern", written)
    if "match" not in table:
        raise table.missing("match", "must say what it matches")
    pattern = Pattern(
        match=table.text("match"),
        kind=table.text("kind", "auth"),
        weight=table.number("weight", 1.0, 0.0, _WEIGHT_MOST),
        echo=table.flag("echo"),
        ban=table.flag("ban"),
        groups=_groups(table),
        slow=table.flag("slow"),
    )
    table.done()
    return pattern


def _groups(table: Section) -> tuple[Any, ...]:
    known = get_args(Found)
    for name in (groups := table.texts("groups")):
        if name not in known:
            raise table.must("groups", f"a list of {', '.join(known[:-1])}", name)
    return groups


def _logpath(keys: Section) -> tuple[str, ...] | None:
    if "logpath" not in keys:
        return None
    paths = tuple(path for path in keys.texts("logpath") if path)
    for path in paths:
        if path != "-" and (not path.startswith("/") or "\0" in path):
            raise keys.must("logpath", 'an absolute path, a glob or "-"', path)
    return paths
