# Matching: the rules that come along, and how any rule file is read and tested.
import re
from difflib import get_close_matches
from importlib.resources import files
from importlib.resources.abc import Traversable
from tomllib import TOMLDecodeError, loads
from typing import Any

import msgspec
from msgspec.structs import replace

from pyfilter.errors import RuleError
from pyfilter.matching.matcher import Matcher
from pyfilter.matching.rule import Pattern, Rule, Sample
from pyfilter.model import Block, Event

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")
_TYPES: dict[str, type[msgspec.Struct]] = {"$.patterns": Pattern, "$.samples": Sample}
_NOON = 1795348800.0  # a fixed "now" for samples: 2026-11-22 12:00 UTC


def names() -> list[str]:
    """Return the names of the rules that come along."""
    return sorted(
        entry.name.removesuffix(".toml")
        for entry in _folder().iterdir()
        if entry.name.endswith(".toml")
    )


def load(name: str) -> Rule:
    """Return a rule that comes along. Raises RuleError with the nearest name if there is none."""
    if not _NAME.fullmatch(name) or not (entry := _folder() / f"{name}.toml").is_file():
        near = get_close_matches(name, names(), 1)
        hint = f"; did you mean {near[0]}?" if near else "; `pyfilter rules list` shows them"
        raise RuleError(f"there is no rule {name!r}{hint}")
    return parse(entry.read_text("utf-8"), name)


def parse(text: str, name: str) -> Rule:
    """Return the rule that a TOML text says. Raises RuleError naming rule, key and reason."""
    try:
        table = loads(text)
    except TOMLDecodeError as error:
        raise RuleError(f"rule {name}: {error}") from None
    table.setdefault("name", name)
    return convert(table, name)


def convert(table: dict[str, Any], name: str) -> Rule:
    """Return the rule in a parsed table. Raises RuleError naming rule, key and reason."""
    try:
        rule = msgspec.convert(table, Rule)
    except msgspec.ValidationError as error:
        raise RuleError(f"rule {name}: {_explained(str(error))}") from None
    if rule.format == "syslog" and not rule.tags:
        raise RuleError(f'rule {name}: format = "syslog" needs tags')
    return _joined(rule)


def _joined(rule: Rule) -> Rule:
    """Return the rule with its prefix in its patterns, and those of the rules it includes."""
    if not (rule.prefix or rule.include):
        return rule
    others = [load(other) for other in rule.include]
    if odd := [other.name for other in others if other.format != rule.format or other.fields]:
        raise RuleError(f"rule {rule.name}: {odd[0]} reads another format and cannot be included")
    return replace(
        rule,
        prefix="",
        patterns=tuple(
            replace(pattern, match=_behind(rule.prefix, pattern.match)) for pattern in rule.patterns
        )
        + tuple(pattern for other in others for pattern in other.patterns),
        ignore=tuple(_behind(rule.prefix, text) for text in rule.ignore)
        + tuple(text for other in others for text in other.ignore),
    )


def _behind(prefix: str, match: str) -> str:
    return f"^{prefix}{match[1:]}" if match.startswith("^") else match


def check(rule: Rule) -> list[str]:
    """Run a rule over its own samples; return what is wrong, one sentence each."""
    matcher = Matcher([(rule, {pattern.kind for pattern in rule.patterns})])
    matcher.readers[0].prepare()
    return [
        f"sample {sample.line!r}: {wrong}"
        for sample in rule.samples
        for wrong in _judge(sample, matcher)
    ]


def _judge(sample: Sample, matcher: Matcher) -> list[str]:
    line = sample.line.encode("utf-8", "surrogateescape")
    before = matcher.unattributable
    found = matcher.events(Block("sample", line + b"\n", _NOON, live=False))
    if not found:
        if sample.ip is None and (sample.kind is None) == (matcher.unattributable == before):
            return []
        return ["must match and does not" if sample.ip or sample.kind else "must not match"]
    if sample.ip is None:
        return [f"must not match, yet gives {found[0].address}"]
    return _compare(sample, found[0], matcher)


def _compare(sample: Sample, event: Event, matcher: Matcher) -> list[str]:
    wrong = []
    for key, wanted, got in (
        ("ip", sample.ip, event.address),
        ("user", sample.user, event.user),
        ("kind", sample.kind, event.kind),
    ):
        if wanted is not None and wanted != got:
            wrong.append(f"{key} is {got!r}, must be {wanted!r}")
    if sample.time is not None and event.at != matcher.stamps(sample.time.encode(), _NOON):
        wrong.append(f"time is {event.at}, must be {sample.time}")
    return wrong


def _explained(text: str) -> str:
    """Add the nearest known key to msgspec's words."""
    match = re.search(r"unknown field `([^`]*)`(?: - at `([^`\[]*))?", text)
    if not match:
        return text
    known = _TYPES.get(match[2] or "", Rule).__struct_fields__
    near = get_close_matches(match[1], known, 1, 0.5)
    where = f" in [[{match[2][2:]}]]" if match[2] in _TYPES else ""
    hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"
    return f"unknown key {match[1]!r}{where}; {hint}"


def _folder() -> Traversable:
    return files("pyfilter") / "rules"
