# Matching: the lines of a flood differ in little but their captures. A skeleton is one line's message
# with the captures left open; where it provably means what its pattern means, it is far quicker.
import re
from collections.abc import Sequence

from msgspec import Struct

from pyfilter.matching.certainty import agree, disjoint
from pyfilter.matching.emit import emit
from pyfilter.matching.pattern import PLACEHOLDERS, Outline
from pyfilter.matching.rule import Pattern
from pyfilter.matching.syntax import Parser
from pyfilter.matching.tree import Anchor, Char, Group, Node, Seq, walk

_OCTET = r"(?:1\d\d|2[0-4]\d|25[0-5]|[1-9]\d|\d)"
# A strict IPv4 address is its own canonical text; whatever has a colon is looked at again.
_ADDRESS = (
    rf"(?:{_OCTET}\.{_OCTET}\.{_OCTET}\.{_OCTET}"
    r"|[0-9A-Fa-f]{0,4}:[0-9A-Fa-f:.]{0,39}[0-9A-Fa-f])"
)
_KNOWN = {name: PLACEHOLDERS[name] for name in ("ip", "host", "user")}
_WORD = Group("user", Parser(r"\S*").parse())


class Alternative(Struct, frozen=True):
    """One way to read a whole message in one go."""

    source: str  # an expression for Python `re`
    names: tuple[str, ...]  # what its groups are, in order
    reader: int
    pattern: Pattern
    strict: bool  # an address without a colon is canonical as it stands


def skeleton(
    found: Outline, reader: int, pattern: Pattern, body: Node, rivals: Sequence[Node]
) -> Alternative | None:
    """Return a way to read lines of one outline, None if it might differ from the patterns.

    `rivals` are all that would be tried before the pattern.
    """
    groups = {part.name: part for part in walk(body) if isinstance(part, Group)}
    names = found[1::2]
    if any(isinstance(part, Anchor) for part in walk(body)):
        return None
    if any(groups[name] != _KNOWN[name] for name in names if name in ("ip", "host")):
        return None
    holes = [_WORD if groups[name] == _KNOWN["user"] else groups[name] for name in names]
    texts = [Seq(tuple(Char(1 << code) for code in text.encode("latin-1"))) for text in found[::2]]
    tree = Seq((texts[0], *(part for pair in zip(holes, texts[1:], strict=True) for part in pair)))
    if not agree(tree, body) or not all(disjoint(tree, rival) for rival in rivals):
        return None
    source = re.escape(found[0])
    for hole, text in zip(holes, found[2::2], strict=True):
        source += f"({_ADDRESS})" if hole.name in ("ip", "host") else emit(hole, lambda _: "(")
        source += re.escape(text)
    return Alternative(source, names, reader, pattern, strict=True)


def entire(reader: int, pattern: Pattern, body: Node, rivals: Sequence[Node]) -> Alternative | None:
    """Return the pattern itself as a way to read, None if what is tried before it may fit too."""
    if not all(disjoint(body, rival) for rival in rivals):
        return None
    names = tuple(part.name for part in walk(body) if isinstance(part, Group))
    return Alternative(emit(body, lambda _: "("), names, reader, pattern, strict=False)
