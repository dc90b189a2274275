# Matching: an expression as a tree. `syntax` reads it, `emit` writes it out; `safety`, `literals` and
# `explain` walk it, so they cannot disagree on what it means.
from collections.abc import Iterator
from typing import NamedTuple

ALL = (1 << 256) - 1
NEWLINE = 1 << 10
ANY = ALL & ~NEWLINE  # what a line can hold
FOREVER = -1  # the upper bound of an unbounded repeat


class Char(NamedTuple):
    """One byte out of a set, held as a mask of 256 bits."""

    mask: int


class Seq(NamedTuple):
    """One after the other."""

    parts: "tuple[Node, ...]"


class Alt(NamedTuple):
    """One or the other, the first that fits."""

    options: "tuple[Node, ...]"


class Repeat(NamedTuple):
    """Again and again, as often as possible (or, lazily, as seldom)."""

    node: "Node"
    low: int
    high: int
    lazy: bool = False


class Group(NamedTuple):
    """A part that is captured under a name."""

    name: str
    node: "Node"


class Anchor(NamedTuple):
    """A place and no byte: start, end, edge of a word or none."""

    text: str


Node = Char | Seq | Alt | Repeat | Group | Anchor


def mask_of(values: bytes) -> int:
    total = 0
    for value in values:
        total |= 1 << value
    return total


def walk(node: Node) -> Iterator[Node]:
    """Yield a tree's nodes, parents first and in the order of the text."""
    todo = [node]
    while todo:
        one = todo.pop()
        yield one
        if isinstance(one, Char):
            continue  # most are
        if isinstance(one, Seq | Alt):
            todo.extend(reversed(one[0]))
        elif isinstance(one, Group | Repeat):
            todo.append(one.node)


def captures(node: Node) -> tuple[str, ...]:
    return tuple(part.name for part in walk(node) if isinstance(part, Group))
