# Matching: one pattern of a rule, made ready: placeholders become a tree, the tree is checked,
# and an expression for Python `re` on bytes comes out.
import re
from functools import cached_property

from msgspec import Struct

from pyfilter.errors import RuleError
from pyfilter.matching.cutting import foreign, wider
from pyfilter.matching.emit import emit, named
from pyfilter.matching.forms import SHAPES, STAMP
from pyfilter.matching.rule import Pattern, Rule
from pyfilter.matching.safety import danger, explodes
from pyfilter.matching.syntax import ExpressionError, Parser
from pyfilter.matching.tree import (
    ANY,
    FOREVER,
    Anchor,
    Char,
    Group,
    Node,
    Repeat,
    Seq,
    captures,
    walk,
)

CAPTURES = ("ip", "host", "user", "time", "pid", "port")
_QUOTED = r'[^"\\]*(?:\\.[^"\\]*)*'


def _tree(text: str) -> Node:
    return Parser(text, {}).parse()


# An address is read as any run of its characters that no punctuation ends; addresses.address
# decides whether it is one.
PLACEHOLDERS: dict[str, Node] = {
    "ip": Group("ip", _tree(r"[0-9A-Fa-f:.]{1,44}[0-9A-Fa-f]")),
    "ip4": Group("ip", _tree(r"\d{1,3}(?:\.\d{1,3}){3}")),  # where a colon and a port may follow
    "host": Group("host", _tree(r"[0-9A-Za-z._:%-]{0,254}[0-9A-Za-z]")),
    "user": Group("user", Repeat(Char(ANY), 0, FOREVER)),
    "name": Group("user", _tree(r"\S{1,255}")),
    "time": Group("time", _tree(STAMP)),
    "pid": Group("pid", _tree(r"\d{1,10}")),
    "port": Group("port", _tree(r"\d{1,5}")),
    "method": _tree(r"[A-Za-z_-]{1,32}"),
    "url": _tree(_QUOTED),
    "status": _tree(r"\d{3}"),
    "*": Repeat(Char(ANY), 0, FOREVER),
    "quoted": _tree(_QUOTED),
    "word": _tree(r"\S+"),
    "n": _tree(r"\d+"),
}


Outline = tuple[str, ...]  # text, name of a capture, text, name, …, text


class Compiled(Struct, frozen=True, dict=True):
    """A pattern ready for use; `body` has no anchors, which the engine adds."""

    pattern: Pattern
    body: Node | None  # None: an expression of the user's own that only Python `re` reads
    names: tuple[str, ...]  # what it captures

    @cached_property
    def regex(self) -> re.Pattern[bytes]:
        """For the whole message or, if its groups are named by position, anywhere in the line.

        Made when first needed: most never are.
        """
        if self.pattern.groups or self.body is None:
            return foreign(self.pattern.match)
        return re.compile(emit(self.body, named).encode("latin-1"), re.ASCII)


def compile_pattern(rule: Rule, pattern: Pattern, *, checked: bool = True) -> Compiled:
    """Return a pattern ready for use. Raises RuleError that names rule, pattern and reason.

    What was checked before (a rule that comes along, by its tests) need not be again: to prove that
    no line can make an expression slow takes longer than all the rest.
    """
    try:
        loose = rule.format == "cut"
        found = _own(pattern, loose=loose) if pattern.groups else _anchored(rule, pattern)
        if checked:
            _check(found)
    except (ExpressionError, re.error, ValueError, OverflowError, RecursionError) as error:
        raise RuleError(f"rule {rule.name}: pattern {pattern.match!r}: {error}") from None
    return found


def _check(compiled: Compiled) -> None:
    body = compiled.body
    if body is None:
        return
    pattern = compiled.pattern
    if pattern.groups and pattern.slow:
        return
    why = explodes(body) if pattern.groups else danger(body)
    if why or not compiled.regex:
        raise ExpressionError(why)


def whole(text: str) -> Node:
    """Return the tree between ^ and $. Raises ExpressionError when it is not anchored."""
    node = Parser(text, PLACEHOLDERS).parse()
    parts = node.parts if isinstance(node, Seq) and len(node.parts) > 1 else (node, node)
    if parts[0] != Anchor("^") or parts[-1] != Anchor("$"):
        raise ExpressionError("it must start with ^ and end with $, so that it describes it whole")
    inner = Seq(parts[1:-1])
    if any(isinstance(part, Anchor) and part.text in "^$" for part in walk(inner)):
        raise ExpressionError("^ and $ stand only at its two ends")
    return inner


def _anchored(rule: Rule, pattern: Pattern) -> Compiled:
    body = whole(pattern.match)
    names = captures(body)
    for name in set(names):
        if names.count(name) > 1:
            raise ExpressionError(f"<{name}> stands in it twice")
    if not {"ip", "host"} & ({*names} | {*rule.fields}):
        raise ExpressionError("it has no address: write <ip> or <host> where the service writes it")
    if "ip" in names and "host" in names:
        raise ExpressionError("it has both <ip> and <host>; one of them is the address")
    return Compiled(pattern, body, names)


def _own(pattern: Pattern, *, loose: bool) -> Compiled:
    """Take an expression over as it stands; its groups are named by position."""
    regex = foreign(pattern.match)
    names = pattern.groups
    if len(names) != regex.groups:
        raise ValueError(f"it has {regex.groups} groups and {len(names)} names for them")
    if not {"ip", "host", "either", "content", "nothing"} & {*names}:
        raise ValueError("none of its groups is an address (ip, host or either)")
    body = wider(pattern.match) if loose else _read(pattern.match)
    return Compiled(pattern, body, names)


def _read(expression: str) -> Node | None:
    try:
        return Parser(expression).parse()
    except ExpressionError:
        return None


def outline(match: re.Match[bytes]) -> Outline:
    """Return a message that a pattern fits with its captures taken out.

    A time is followed by a space and the letter of its form.
    """
    text = match.string.decode("latin-1")
    spans = sorted((*match.span(name), name) for name in match.re.groupindex)
    parts, place = [], 0
    for start, end, name in spans:
        if start >= 0:
            shape = SHAPES.fullmatch(match[name]) if name == "time" else None
            parts += [text[place:start], f"{name} {shape.lastgroup}" if shape else name]
            place = end
    return (*parts, text[place:])
