# Texts that a regular expression of Python fits, made at random from its own parse tree.
import random
import re
import string
from collections.abc import Callable
from importlib import import_module
from typing import Any

_PARSER: Any = import_module("re._parser")  # the reader of `re`; nothing public says as much
_PLAIN = string.ascii_letters + string.digits + " ._-:/=,;@"
_CATEGORIES = {
    "CATEGORY_DIGIT": string.digits,
    "CATEGORY_NOT_DIGIT": string.ascii_letters + " .-",
    "CATEGORY_SPACE": " ",
    "CATEGORY_NOT_SPACE": string.ascii_letters + string.digits + "._-",
    "CATEGORY_WORD": string.ascii_letters + string.digits + "_",
    "CATEGORY_NOT_WORD": " .-/",
}
_MOST = 3  # more than a repeat's least


class Writer:
    """Writes texts for one expression; `said` says what named groups hold."""

    def __init__(self, chance: random.Random, said: dict[str, str]) -> None:
        self._chance = chance
        self._said = said
        self._held: dict[int, str] = {}
        self._names: dict[int, str] = {}

    def text(self, expression: str) -> str:
        """Return a text; look-around may make it one that the expression does not fit."""
        self._held = {}
        tree = _PARSER.parse(expression)
        self._names = {number: name for name, number in tree.state.groupdict.items()}
        return self._all(tree)

    def _all(self, parts: Any) -> str:
        return "".join(self._one(str(name), value) for name, value in parts)

    def _one(self, name: str, value: Any) -> str:
        writers: dict[str, Callable[[Any], str]] = {
            "LITERAL": chr,
            "NOT_LITERAL": lambda value: self._other(chr(value)),
            "ANY": lambda _: self._chance.choice(_PLAIN),
            "IN": self._among,
            "BRANCH": lambda value: self._all(self._chance.choice(value[1])),
            "MAX_REPEAT": self._again,
            "MIN_REPEAT": self._again,
            "SUBPATTERN": self._group,
            "GROUPREF": lambda value: self._held.get(value, ""),
            "GROUPREF_EXISTS": self._either,
            "ATOMIC_GROUP": self._all,
            "POSSESSIVE_REPEAT": self._again,
        }
        return writers[name](value) if name in writers else ""

    def _other(self, excluded: str) -> str:
        return self._chance.choice(_PLAIN.replace(excluded, ""))

    def _among(self, items: Any) -> str:
        inverted = str(items[0][0]) == "NEGATE"
        known = "".join(self._known(str(name), value) for name, value in items)
        if inverted:
            known = "".join(sign for sign in _PLAIN if sign not in known) or "~"
        return self._chance.choice(known or "~")

    @staticmethod
    def _known(name: str, value: Any) -> str:
        if name == "LITERAL":
            return chr(value)
        if name == "RANGE":
            return "".join(map(chr, range(value[0], value[1] + 1)))
        return _CATEGORIES[str(value)] if name == "CATEGORY" else ""

    def _again(self, value: Any) -> str:
        low, high, inner = value
        most = min(int(high), int(low) + _MOST)
        return "".join(self._all(inner) for _ in range(self._chance.randint(int(low), most)))

    def _group(self, value: Any) -> str:
        number, _, _, inner = value
        text = self._said.get(self._names.get(number, ""))
        text = self._all(inner) if text is None else text
        if number is not None:
            self._held[number] = text
        return text

    def _either(self, value: Any) -> str:
        number, yes, no = value
        return self._all(yes if number in self._held else no or [])


def mutated(text: str, chance: random.Random) -> str:
    """Return a text with one sign lost, doubled or changed."""
    if not text:
        return text
    place = chance.randrange(len(text))
    sign = chance.choice(("", text[place] * 2, chance.choice(_PLAIN)))
    return text[:place] + sign + text[place + 1 :]


def fits(expression: str, text: str) -> bool:
    return re.search(expression, text) is not None
