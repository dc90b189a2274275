# settings: where rules that are named in a configuration come from.
from collections.abc import Callable

from msgspec import Struct

from pyfilter.matching.rule import Rule


class Library(Struct, frozen=True):
    """Where rules are found: the names there are, and one of them read."""

    names: Callable[[], tuple[str, ...]]
    rule: Callable[[str], Rule]


def shipped() -> Library:
    """Return the library that comes along, opened when the first rule is asked for."""
    return Library(names=_names, rule=_rule)


def _names() -> tuple[str, ...]:
    from pyfilter.matching import library  # noqa: PLC0415 # brings the whole matcher with it

    return tuple(library.names())


def _rule(name: str) -> Rule:
    from pyfilter.matching import library  # noqa: PLC0415 # as above

    return library.load(name)
