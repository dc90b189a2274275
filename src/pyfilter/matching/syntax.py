# Matching: the small language of patterns, read into a tree.
import re
from collections.abc import Callable

from pyfilter.matching.tree import (
    ANY,
    FOREVER,
    Alt,
    Anchor,
    Char,
    Group,
    Node,
    Repeat,
    Seq,
    mask_of,
)

_DIGIT = mask_of(b"0123456789")
_WORD = _DIGIT | mask_of(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_")
_SPACE = mask_of(b" \t\r\f\v")  # no newline: a line holds none
_CLASSES = {
    "d": _DIGIT,
    "D": ANY & ~_DIGIT,
    "w": _WORD,
    "W": ANY & ~_WORD,
    "s": _SPACE,
    "S": ANY & ~_SPACE,
}
_CONTROLS = {"t": 9, "r": 13, "f": 12, "v": 11, "a": 7}


_ANYTHING = Repeat(Char(ANY), 0, FOREVER)
_BEYOND = re.compile(
    r"\?(?:(?P<look><?[=!])|P=(?P<back>\w+)\)|(?P<if>\(\w+\))|(?P<flags>[aiLmsux-]+)(?P<end>[:)]))"
)


class ExpressionError(ValueError):
    """The pattern leaves the common subset; the text says where and why."""


class Parser:
    """Reads one expression, a `loose` one with what goes beyond the subset as something wider."""

    def __init__(
        self, text: str, placeholders: "dict[str, Node] | None" = None, *, loose: bool = False
    ) -> None:
        self._text = text
        self._loose = loose
        self._at = 0
        self._names = placeholders
        self._fold = text.startswith("(?i)")
        self._openers: dict[str, Callable[[], Node]] = {
            ".": lambda: Char(ANY),
            "[": self._class,
            "(": self._group,
            "\\": self._escape,
        }
        self.groups: list[str] = []  # filled when capturing groups are allowed
        if self._fold:
            self._at = 4

    def parse(self) -> Node:
        """Return the tree. Raises ExpressionError."""
        node = self._alternatives()
        if self._at < len(self._text):
            raise ExpressionError(f"unbalanced ) at {self._at}")
        return node

    def _peek(self, width: int = 1) -> str:
        return self._text[self._at : self._at + width]

    def _take(self, width: int = 1) -> str:
        taken = self._peek(width)
        self._at += width
        if len(taken) < width:
            raise ExpressionError("the expression ends too early")
        return taken

    def _alternatives(self) -> Node:
        options = [self._sequence()]
        while self._peek() == "|":
            self._take()
            options.append(self._sequence())
        return options[0] if len(options) == 1 else Alt(tuple(options))

    def _sequence(self) -> Node:
        parts: list[Node] = []
        while self._peek() not in ("", "|", ")"):
            parts.extend(self._quantified(atom) for atom in self._atom())
        return parts[0] if len(parts) == 1 else Seq(tuple(parts))

    def _atom(self) -> "list[Node]":
        char = self._take()
        if char in "^$":
            return [Anchor(char)]
        if char in self._openers:
            return [self._openers[char]()]
        if char == "<" and self._names is not None:
            return [self._placeholder(self._names)]
        if char in "*+?" or (char == "{" and re.match(r"\d*,?\d*\}", self._text[self._at :])):
            raise ExpressionError(f"nothing to repeat at {self._at - 1}")
        return self._bytes(char)

    def _bytes(self, char: str) -> "list[Node]":
        encoded = char.encode("utf-8", "surrogateescape")
        if len(encoded) == 1:
            return [Char(self._folded(1 << encoded[0]))]
        return [Seq(tuple(Char(1 << byte) for byte in encoded))]

    def _folded(self, mask: int) -> int:
        if self._fold:
            for low in range(97, 123):
                if mask >> low & 1 or mask >> (low - 32) & 1:
                    mask |= 1 << low | 1 << (low - 32)
        return mask

    def _placeholder(self, names: "dict[str, Node]") -> Node:
        end = self._text.find(">", self._at)
        name = self._text[self._at : end] if end >= 0 else ""
        if name not in names:
            known = " ".join(f"<{known}>" for known in names)
            raise ExpressionError(
                f"<{name}> is no placeholder; write \\< for a real <. Known: {known}"
            )
        self._at = end + 1
        return names[name]

    def _group(self) -> Node:
        name = ""
        if self._peek() == "?":
            if self._peek(2) == "?:":
                self._take(2)
            elif self._loose and (wider := self._beyond()) is not None:
                return wider
            elif self._names is None and (found := self._name()):
                name = found
            else:
                raise ExpressionError(f"({self._peek(3)}… is not allowed; only (?:…) groups are")
        elif self._names is None:
            name = f"_{len(self.groups) + 1}"
        else:
            raise ExpressionError("write (?:…): only placeholders capture")
        if name:
            self.groups.append(name)
        node = self._alternatives()
        if self._peek() != ")":
            raise ExpressionError("a ( is never closed")
        self._take()
        return Group(name, node) if name else node

    def _beyond(self) -> Node | None:
        """Read a group that only Python knows, from its ? on; None when it is none."""
        match = _BEYOND.match(self._text, self._at)
        if not match:
            return None
        self._at = match.end()
        self._fold = self._fold or "i" in (match["flags"] or "")
        if match["back"] or match["end"] == ")":
            return _ANYTHING if match["back"] else Seq(())
        node = self._alternatives()
        self._take()
        return Seq(()) if match["look"] else Alt((node, Seq(()))) if match["if"] else node

    def _name(self) -> str:
        match = re.compile(r"\?P<([A-Za-z_]\w*)>").match(self._text, self._at)
        if not match:
            return ""
        self._at = match.end()
        return match[1]

    def _escape(self) -> Node:
        char = self._take()
        if char in _CLASSES:
            return Char(_CLASSES[char])
        if char in "bB":
            return Anchor(f"\\{char}")
        if self._loose and char in "AZ":
            return Anchor("^" if char == "A" else "$")
        if self._loose and char in "123456789":
            return _ANYTHING
        return Char(self._folded(1 << self._escaped_byte(char)))

    def _escaped_byte(self, char: str) -> int:
        if char == "x":
            return int(self._take(2), 16)
        if char in _CONTROLS:
            return _CONTROLS[char]
        if char == "n":
            raise ExpressionError("\\n can never match: a line ends there")
        if char.isalnum() or not char.isascii():
            raise ExpressionError(f"\\{char} is not allowed")
        return ord(char)

    def _class(self) -> Node:
        inverted = self._peek() == "^"
        if inverted:
            self._take()
        mask, first = 0, True
        while first or self._peek() != "]":
            mask |= self._class_item()
            first = False
        self._take()
        mask = self._folded(mask)
        return Char(ANY & ~mask if inverted else mask)

    def _class_item(self) -> int:
        low, mask = self._class_atom()
        if mask or self._peek() != "-" or self._peek(2) == "-]":
            return mask or 1 << low
        self._take()
        high, mask = self._class_atom()
        if mask or high < low:
            raise ExpressionError("a range in […] runs backwards")
        return mask_of(bytes(range(low, high + 1)))

    def _class_atom(self) -> tuple[int, int]:
        char = self._take()
        if char == "[" and self._peek() in (":", ".", "="):
            raise ExpressionError("[:name:] classes are not allowed")
        if char != "\\":
            if not char.isascii():
                raise ExpressionError("only ASCII may stand in […]; write \\xNN for a byte")
            return ord(char), 0
        char = self._take()
        return (0, _CLASSES[char]) if char in _CLASSES else (self._escaped_byte(char), 0)

    def _quantified(self, node: Node) -> Node:
        match = re.compile(r"([*+?])|\{(\d*)(,?)(\d*)\}").match(self._text, self._at)
        if not match or match[0] in ("{}", "{,}"):
            return node
        if isinstance(node, Anchor):
            raise ExpressionError("an anchor cannot repeat")
        self._at = match.end()
        if match[1]:
            low, high = {"*": (0, FOREVER), "+": (1, FOREVER), "?": (0, 1)}[match[1]]
        else:
            low = int(match[2] or 0)
            high = int(match[4] or FOREVER) if match[3] else low
        if high != FOREVER and high < low:
            raise ExpressionError("a repeat runs backwards")
        lazy = self._peek() == "?"
        if lazy or self._peek() == "+":
            self._take()
        if self._peek() in ("*", "+", "{") and re.match(r"[*+]|\{\d", self._text[self._at :]):
            raise ExpressionError("a repeat of a repeat")
        return Repeat(node, low, high, lazy)
