# settings: the rules that come along, found by name.
import tomllib
from collections.abc import Callable
from importlib.resources import files

import msgspec
from msgspec import Struct

from pyfilter.errors import RuleError
from pyfilter.matching.rule import Rule


class Library(Struct, frozen=True):
    """Where rules are found: the names there are, and one of them read."""

    names: Callable[[], tuple[str, ...]]
    rule: Callable[[str], Rule]


def shipped() -> Library:
    """Return the library that is part of this package."""
    return Library(names=_names, rule=_rule)


def _names() -> tuple[str, ...]:
    folder = files("pyfilter") / "rules"
    if not folder.is_dir():
        return ()
    found = (item.name for item in folder.iterdir())
    return tuple(sorted(name.removesuffix(".toml") for name in found if name.endswith(".toml")))


def _rule(name: str) -> Rule:
    text = (files("pyfilter") / "rules" / f"{name}.toml").read_text("utf-8")
    try:
        return msgspec.convert({"name": name, **tomllib.loads(text)}, Rule)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise RuleError(f"rule {name}: {error}") from error
