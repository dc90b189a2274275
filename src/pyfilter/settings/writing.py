# settings: a settings tree as the text of a pyfilter.toml. Pure.
import json
from collections.abc import Mapping
from typing import Any

from msgspec import structs

from pyfilter.matching.rule import Pattern
from pyfilter.model import Limits
from pyfilter.notifiers import Console
from pyfilter.settings.json_rules import OURS
from pyfilter.settings.tree import FleetSettings, RuleSettings, Settings

_DEFAULTS = Settings()
_KEPT = ("name", "ledger", "reload")  # top-level keys written where they are not as usual


def to_toml(settings: Settings) -> str:
    """Return the text that `load` reads as these settings, but for the folders of the machine."""
    top = {key: getattr(settings, key) for key in _KEPT}
    usual = {key: getattr(_DEFAULTS, key) for key in _KEPT}
    firewall = structs.asdict(settings.firewall)
    sections: dict[str, Mapping[str, Any]] = {
        "defaults": _limits(settings.defaults) | {"ignoreip": list(settings.ignoreip)},
        "firewall": {"type": settings.firewall.__struct_config__.tag, **firewall},
        "geo": {"database": settings.geo.database},
        "console": _console(settings),
        "blacklist": structs.asdict(settings.blacklist),
        "fleet": _fleet(settings.fleet) if settings.fleet else {},
    }
    for name, rule in settings.rules.items():
        sections |= _rule(name, rule, settings.defaults)
    blocks = [_lines({key: value for key, value in top.items() if value != usual[key]})]
    for header, table in sections.items():
        lines = _lines({key: value for key, value in table.items() if value not in ("", ())})
        if lines or header.startswith("rules."):
            blocks.append(f"[{header}]\n{lines}")
    return "\n".join(block for block in blocks if block)


def _limits(limits: Limits) -> dict[str, Any]:
    return structs.asdict(limits)


def _console(settings: Settings) -> dict[str, Any]:
    for notifier in settings.notifiers:
        if isinstance(notifier, Console):
            return {"active": True, "directory": notifier.directory}
    return {}


def _fleet(fleet: FleetSettings) -> dict[str, Any]:
    usual = structs.asdict(FleetSettings())
    return {key: value for key, value in structs.asdict(fleet).items() if value != usual[key]}


def _rule(name: str, settings: RuleSettings, defaults: Limits) -> dict[str, dict[str, Any]]:
    """Return the sections of a rule; what the library cannot say becomes a rule of its own."""
    rule = settings.rule
    written = [pattern for pattern in rule.patterns if pattern.groups or pattern.kind == "urls"]
    known, usual = _limits(settings.limits), _limits(defaults)
    table = {key: value for key, value in known.items() if value != usual[key]}
    table |= {"ignoreip": settings.ignoreip, "observe": settings.observe or ""}
    logpath = settings.logpath
    sections = {}
    if len(written) < len(rule.patterns):
        place = () if logpath is None or set(logpath) & set(rule.logpath) else logpath
        sections[f"rules.{key_of(OURS.get(name, name))}"] = table | {"logpath": place or ""}
        if logpath == ():
            sections[f"rules.{key_of(OURS.get(name, name))}"]["logpath"] = []
        name = f"{name}-urls"
    if written:
        sections[f"rules.{key_of(name)}"] = table | {
            "logpath": list(logpath or ()),
            "pattern": [_pattern(pattern) for pattern in written],
            "time_format": rule.time_format,
            "statuses": rule.statuses,
        }
    return sections


def _pattern(pattern: Pattern) -> dict[str, Any]:
    usual = structs.asdict(Pattern(""))
    return {key: value for key, value in structs.asdict(pattern).items() if value != usual[key]}


def _lines(table: Mapping[str, Any]) -> str:
    return "".join(f"{key} = {text_of(value)}\n" for key, value in table.items())


def text_of(value: Any) -> str:
    """Return a value as TOML writes it."""
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return _text(value)
        case float() if value.is_integer():
            return str(int(value))
        case list() | tuple():
            return f"[{', '.join(text_of(one) for one in value)}]"
        case dict():
            inner = ", ".join(f"{key} = {text_of(one)}" for key, one in value.items())
            return f"{{ {inner} }}"
        case _:
            return str(value)


def _text(text: str) -> str:
    """Return a TOML string: literal where that is easier to read, as for expressions."""
    if "\\" in text and "'" not in text and text.isprintable():
        return f"'{text}'"
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def key_of(name: str) -> str:
    """Return a key as TOML writes it."""
    plain = name.isascii() and name.replace("-", "").replace("_", "").isalnum()
    return name if plain else _text(name)
