# Matching: a tree written out as a bytes expression for Python `re` or for Hyperscan.
import re
from collections.abc import Callable

from pyfilter.matching.tree import (
    ALL,
    ANY,
    FOREVER,
    NEWLINE,
    Alt,
    Anchor,
    Char,
    Group,
    Node,
    Repeat,
    Seq,
)

_HALF = 128
_MARKS = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"
Naming = Callable[[str], str]  # a group's name -> what opens it, "(?:" for one not captured


def named(name: str) -> str:
    return f"(?P<{name}>"


def silent(_name: str) -> str:
    return "(?:"


def emit(node: Node, naming: Naming = named) -> str:
    """Return the expression as text; encode it as latin-1 for a bytes pattern."""
    match node:
        case Char(mask):
            return _char(mask)
        case Seq(parts):
            return "".join(emit(part, naming) for part in parts)
        case Alt(options):
            return "(?:" + "|".join(emit(option, naming) for option in options) + ")"
        case Group(name, inner):
            return naming(name) + emit(inner, naming) + ")"
        case Anchor(text):
            return text
        case Repeat(inner, low, high, lazy):
            return _atom(inner, naming) + _bounds(low, high) + ("?" if lazy else "")


def _atom(node: Node, naming: Naming) -> str:
    text = emit(node, naming)
    return text if isinstance(node, Char | Alt) else f"(?:{text})"


def _bounds(low: int, high: int) -> str:
    if (low, high) == (0, 1):
        return "?"
    if high == FOREVER:
        return {0: "*", 1: "+"}.get(low, f"{{{low},}}")
    return f"{{{low}}}" if low == high else f"{{{low},{high}}}"


def _char(mask: int) -> str:
    if mask == ANY:
        return "."
    if mask.bit_count() == 1:
        return _byte(mask.bit_length() - 1)
    if mask & NEWLINE == 0 and mask.bit_count() > _HALF:
        return "[^" + _ranges(ALL & ~mask) + "]"
    return "[" + _ranges(mask) + "]"


def _ranges(mask: int) -> str:
    values = [value for value in range(256) if mask >> value & 1]
    parts, start = [], 0
    for index, value in enumerate(values):
        if index + 1 < len(values) and values[index + 1] == value + 1:
            continue
        first = values[start]
        parts.append(_byte(first) if first == value else f"{_byte(first)}-{_byte(value)}")
        start = index + 1
    return "".join(parts)


def _byte(value: int) -> str:
    if chr(value).isascii() and (chr(value).isalnum() or chr(value) in " _:/=,;@%'\"<>!~`"):
        return chr(value)
    return re.escape(chr(value)) if chr(value) in _MARKS else f"\\x{value:02x}"
