# Matching: what stands before the message in the lines of a flood: a stamp, a text that stays the same,
# a PID. Heads are learnt as a whole, so that none has to be taken apart again.
import re
from collections.abc import Collection, Mapping, Sequence

from msgspec import Struct

from pyfilter.matching.forms import FORMS, SHAPES
from pyfilter.matching.reading import Reader
from pyfilter.matching.syntax import Parser
from pyfilter.matching.tree import Char, Node, Seq

_ANY_WORD, _WORD = "*", Parser(r"\S*").parse()
_PRIORITY = re.compile(rb"(?:<\d{1,3}>)?")
_ENDLESS = frozenset("FLYME")  # forms of stamps that no zone may follow
_LIKE_ZONE = re.compile(rb" +(?:[A-Z]{3,4}|[+-]?\d\d(?::?\d\d)?) ")


class Head(Struct, frozen=True):
    """What lines begin with."""

    readers: tuple[int, ...]  # whose lines these are
    form: str  # of the stamp: a letter of FORMS, "" for none
    rest: str  # from the stamp to the PID


def head_of(line: bytes, readers: Mapping[int, Reader]) -> Head | None:
    """Return the head of a line; None if it is nobody's, or not of this kind."""
    headers = {
        number: header for number, reader in readers.items() if (header := reader.head(line))
    }
    if len(set(headers.values())) != 1:
        return None
    header = next(iter(headers.values()))
    start, form = _began(line)
    stop = start + len(header.stamp)
    tail = b"[%s]: " % header.pid
    rest = line[stop : header.end].removesuffix(tail)
    if line[start : header.end] != header.stamp + rest + tail or b"[" in rest:
        return None
    shape = SHAPES.fullmatch(header.stamp)
    if (shape.lastgroup if shape else "") != form:
        return None
    if form and form not in _ENDLESS and _LIKE_ZONE.match(rest):
        return None
    if SHAPES.search(rest):  # another time in each line
        return None
    return Head(tuple(headers), form, rest.decode("latin-1"))


def form_of(line: bytes) -> str:
    """Return the form of the stamp that a line begins with, "" for none."""
    return _began(line)[1]


def _began(line: bytes) -> tuple[int, str]:
    priority = _PRIORITY.match(line)
    start = priority.end() if priority else 0
    shape = SHAPES.match(line, start)
    return start, shape.lastgroup or "" if shape else ""


def heading(heads: Sequence[Head], wanted: Collection[str]) -> str:
    """Return an expression for what stands before a message; it captures what is wanted of it.

    The heads are of one form.
    """

    def part(name: str, source: str) -> str:
        return f"(?P<{name}>{source})" if name in wanted else f"(?:{source})"

    rests = "|".join(re.escape(head.rest) for head in heads)
    stamp, pid = part("time", FORMS.get(heads[0].form, "")), part("pid", r"\d{1,10}")
    return rf"(?:<\d{{1,3}}>)?{stamp}(?:{rests})\[{pid}\]: "


def kind_of(head: Head) -> Head:
    """Return what stands for all heads that differ in the host and what else stands before the tag."""
    *others, tag = head.rest.split(" ")
    words = [_ANY_WORD if one[:1].isalnum() else one for one in others]
    return Head(head.readers, head.form, " ".join([*words, tag]))


def tree_of(kind: Head) -> Node:
    """Return the tree of all heads of a kind, or of more."""
    *others, tag = kind.rest.split(" ")
    parts = [Parser(rf"(?:<\d{{1,3}}>)?{FORMS.get(kind.form, '')}").parse()]
    for word in others:
        parts += [_WORD if word == _ANY_WORD else _spelled(word), _spelled(" ")]
    return Seq((*parts, _spelled(tag), Parser(r"\[\d{1,10}\]: ").parse()))


def _spelled(text: str) -> Node:
    return Seq(tuple(Char(1 << code) for code in text.encode("latin-1")))
