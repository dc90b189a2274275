# Matching: what the scanner looks for on behalf of a pattern. The fewer lines of others hold it, the
# less is read in vain: two texts in their order tell more than one, and cost Hyperscan hardly more.
import re
from typing import NamedTuple

import hyperscan as hs

from pyfilter.matching.breaks import last_of
from pyfilter.matching.emit import emit, silent
from pyfilter.matching.literals import Cover, covers, telling
from pyfilter.matching.pattern import Compiled
from pyfilter.matching.rule import Rule
from pyfilter.matching.tree import ANY, FOREVER, Alt, Char, Group, Node, Repeat, Seq

_JSON_BROKEN = b"\"\\/<>&'"  # may be written as escapes in JSON
_NO_WORD = bytes(byte for byte in range(256) if not chr(byte).isalnum() or byte > 127)
_META = frozenset(b"\\^$.|?*+()[]{}/")
_WHOLE = hs.HS_FLAG_MULTILINE | hs.HS_FLAG_PREFILTER
_NUMBER = re.compile(rb"[ ^](\d{3,})(?= )")
_ANYTHING = Repeat(Char(ANY), 0, FOREVER)


class Expression(NamedTuple):
    """An expression of Hyperscan; of those of a pattern one fits each line that the pattern fits."""

    source: bytes
    flags: int
    brief: bytes  # fits at least the same, and is sooner compiled: a text or some


def probes_of(rule: Rule, compiled: Compiled) -> list[Expression]:
    """Return expressions of which one fits every line that a pattern fits; none: nothing is known."""
    body = compiled.body
    if body is None:
        searched = compiled.regex.pattern
        return [] if rule.format in ("json", "cut") else [Expression(searched, _WHOLE, searched)]
    if told := telling(body, _broken(rule), ordered=_ordered(rule)):
        return _pairs(*told) if len(told) > 1 else _texts(*told)
    if rule.format == "json":
        return _numbers(body)
    return [] if rule.format == "cut" else [_whole(body)]


def probes_of_breaks(rule: Rule) -> list[Expression]:
    """Return expressions of which one fits every block that holds a message a visitor broke."""
    last = last_of(rule)
    told = telling(last, ordered=False)  # it may stand on several lines
    return _texts(*told) if told else [_whole(last)]


def _whole(body: Node) -> Expression:
    source = emit(_bare(_timeless(body)), silent).encode("latin-1")
    best = max(covers(body), key=_told_by, default=None)
    return Expression(source, _WHOLE, _either(best) if best and _told_by(best) > 0 else source)


def _told_by(cover: Cover) -> int:
    """Return how much even common texts tell: by their bytes that do not stand in every line."""
    return min((len(text.translate(None, b" []:.")) for text in cover.texts), default=0)


def _texts(cover: Cover) -> list[Expression]:
    flags = hs.HS_FLAG_CASELESS if cover.caseless else 0
    escaped = [_escaped(text) for text in sorted(cover.texts)]
    return [Expression(text, flags, text) for text in escaped]


def _broken(rule: Rule) -> bytes:
    """Return bytes at which a line may differ from what patterns are held against."""
    if rule.format == "cut":
        return _NO_WORD  # a time is cut out between words, never within one
    if rule.format != "json":
        return b""
    return _JSON_BROKEN if _ordered(rule) else _JSON_BROKEN + b" "


def _ordered(rule: Rule) -> bool:
    """Say whether a line's texts stand in the order of what patterns are held against."""
    return rule.format != "json" or len(rule.fields.get("message", "").split()) <= 1


def _pairs(one: Cover, other: Cover) -> list[Expression]:
    """Return expressions for two covers, one for each text of the smaller: texts alone are quick."""
    if len(one.texts) <= len(other.texts):
        parted = [(_either(one, text), _either(other)) for text in sorted(one.texts)]
    else:
        parted = [(_either(one), _either(other, text)) for text in sorted(other.texts)]
    return [Expression(b"%b.*%b" % two, 0, max(two, key=len)) for two in parted]


def _either(cover: Cover, *chosen: bytes) -> bytes:
    """Return an expression of the chosen texts of a cover, or of any."""
    texts = b"|".join(map(_escaped, chosen or sorted(cover.texts)))
    return b"(?i:%b)" % texts if cover.caseless else b"(?:%b)" % texts if b"|" in texts else texts


def _escaped(text: bytes) -> bytes:
    return b"".join(
        b"\\" * (byte in _META) + bytes([byte]) if 32 <= byte < 127 else b"\\x%02x" % byte
        for byte in text
    )


def _numbers(body: Node) -> list[Expression]:
    """Return expressions for whole numbers between spaces, which JSON writes in no other way.

    In JSON spaces may be written as escapes, or be those between two fields.
    """
    for index, cover in enumerate(covers(body)):
        start = b"^" if index == 0 and isinstance(body, Seq) else b""
        found = [_NUMBER.search(start + text) for text in cover.texts]
        if (numbers := {match[1] for match in found if match}) and all(found):
            sources = [rb"(?:\b|\\[nr])%b\b" % number for number in sorted(numbers)]
            return [Expression(source, 0, source) for source in sources]
    return []


def _bare(node: Node) -> Node:
    """Return a tree without what may as well be missing at its end: it would only be found again."""
    if not isinstance(node, Seq):
        return node
    parts = list(node.parts)
    while len(parts) > 1 and isinstance(last := parts[-1], Repeat) and not last.low:
        parts.pop()
    if isinstance(last := parts[-1], Repeat) and last.low:
        parts[-1] = Repeat(last.node, last.low, last.low)
    return Seq(tuple(parts))


def _timeless(node: Node) -> Node:
    """Return a tree of at least the same texts without the many forms of times."""
    match node:
        case Group(name, inner):
            return _ANYTHING if name == "time" else Group(name, _timeless(inner))
        case Seq(parts):
            return Seq(tuple(map(_timeless, parts)))
        case Alt(options):
            return Alt(tuple(map(_timeless, options)))
        case Repeat(inner, low, high, lazy):
            return Repeat(_timeless(inner), low, high, lazy)
        case _:
            return node
