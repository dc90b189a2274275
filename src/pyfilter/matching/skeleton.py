# Matching: the lines of a flood differ in little but their captures. A skeleton is one line's message
# with the captures left open; where it provably means what its pattern means, it is far quicker.
import re
from collections.abc import Callable

from msgspec import Struct

from pyfilter.matching.automaton import Automaton
from pyfilter.matching.emit import emit, named
from pyfilter.matching.forms import FORMS
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
_STRICT = Parser(_ADDRESS).parse()
_KNOWN = {name: PLACEHOLDERS[name] for name in ("ip", "host", "user")}
Proof = Callable[[Automaton], bool]  # that a way to read gives what the patterns give
_WORD = Group("user", Parser(r"\S*").parse())


class Alternative(Struct, frozen=True):
    """One way to read a whole message in one go."""

    source: str  # an expression whose captures are groups with names
    reader: int
    pattern: Pattern
    strict: bool  # an address without a colon is canonical as it stands
    tree: Node  # of all that it takes, or of more


def skeleton(
    found: Outline, reader: int, pattern: Pattern, body: Node, proof: Proof
) -> Alternative | None:
    """Return a way to read lines of one outline, None if it might differ from the patterns."""
    groups = {part.name: part for part in walk(body) if isinstance(part, Group)}
    names = tuple(name.partition(" ")[0] for name in found[1::2])
    if any(isinstance(part, Anchor) for part in walk(body)):
        return None
    if any(groups[name] != _KNOWN[name] for name in names if name in ("ip", "host")):
        return None
    holes = [_hole(name, groups) for name in found[1::2]]
    texts = [Seq(tuple(Char(1 << code) for code in text.encode("latin-1"))) for text in found[::2]]
    tree = Seq((texts[0], *(part for pair in zip(holes, texts[1:], strict=True) for part in pair)))
    if not proof(Automaton(tree, wide=True)):
        return None
    source = re.escape(found[0])
    narrow: list[Node] = [texts[0]]
    for hole, text, end in zip(holes, found[2::2], texts[1:], strict=True):
        is_address = hole.name in ("ip", "host")
        source += f"{_opened(hole.name)}{_ADDRESS})" if is_address else emit(hole, _opened)
        source += re.escape(text)
        narrow += [_STRICT if is_address else hole, end]
    return Alternative(source, reader, pattern, strict=True, tree=Seq(tuple(narrow)))


def entire(reader: int, pattern: Pattern, body: Node) -> Alternative:
    """Return the pattern itself as a way to read."""
    return Alternative(emit(body, _opened), reader, pattern, strict=False, tree=body)


def _opened(name: str) -> str:
    return named("address" if name in ("ip", "host") else name)


def _hole(name: str, groups: dict[str, Group]) -> Group:
    """Return the narrower expression that stands for a capture in a skeleton."""
    base, _, form = name.partition(" ")
    if groups[base] == _KNOWN["user"]:
        return _WORD
    if form and groups[base] == PLACEHOLDERS["time"]:
        return Group("time", Parser(FORMS[form]).parse())
    return groups[base]
