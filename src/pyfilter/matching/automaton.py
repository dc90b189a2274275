# Matching: an expression as Glushkov's automaton: one state a byte of it, edges to what may follow.
# What `safety` and `certainty` ask of expressions is answered here by walking pairs of states.
from collections.abc import Iterable, Iterator

from pyfilter.matching.tree import FOREVER, Alt, Anchor, Char, Group, Node, Repeat, Seq

_COPIES = 3  # of a counted repeat: enough to see what it overlaps with
_START = -1

_Part = tuple[bool, set[int], set[int]]  # may be empty, first states, last states


class Automaton:
    """The states of an expression; `wide` reads a long counted repeat as an unbounded one."""

    def __init__(self, node: Node, *, wide: bool = False) -> None:
        self.masks: list[int] = []
        self.labels: list[str] = []  # the group that a state is in
        self.follow: list[set[int]] = []
        self.doubled = False  # an edge was made twice: a repeat within a repeat
        self._wide = wide
        self.empty, self.first, self.last = self._add(node, "")

    def after(self, state: int) -> set[int]:
        return self.first if state == _START else self.follow[state]

    def _add(self, node: Node, label: str) -> _Part:
        match node:
            case Char(mask):
                self.masks.append(mask)
                self.labels.append(label)
                self.follow.append(set())
                return False, {len(self.masks) - 1}, {len(self.masks) - 1}
            case Anchor(_):
                return True, set(), set()
            case Group(name, inner):
                return self._add(inner, name)
            case Alt(options):
                return self._either([self._add(option, label) for option in options])
            case Seq(parts):
                return self._chain(self._add(part, label) for part in parts)
            case Repeat(inner, low, high):
                return self._again(inner, low, high, label)

    def _either(self, found: list[_Part]) -> _Part:
        return (
            any(empty for empty, _, _ in found),
            set().union(*(first for _, first, _ in found)),
            set().union(*(last for _, _, last in found)),
        )

    def _chain(self, found: Iterable[_Part]) -> _Part:
        empty, first, last = True, set[int](), set[int]()
        for part_empty, part_first, part_last in found:
            for state in last:
                self.follow[state] |= part_first
            if empty:
                first = first | part_first
            last = last | part_last if part_empty else part_last
            empty = empty and part_empty
        return empty, first, last

    def _again(self, node: Node, low: int, high: int, label: str) -> _Part:
        endless = high == FOREVER or (self._wide and high > _COPIES)
        must = min(low, _COPIES)
        may = 0 if endless else min(high - low, _COPIES - min(must, _COPIES - 1))
        parts = [self._add(node, label) for _ in range(must)]
        parts += [(True, *self._add(node, label)[1:]) for _ in range(may)]
        if endless:
            _, first, last = self._add(node, label)
            for state in last:
                self.doubled = self.doubled or not first.isdisjoint(self.follow[state])
                self.follow[state] |= first
            parts.append((True, first, last))
        return self._chain(parts)


def pairs(one: Automaton, other: Automaton) -> Iterator[tuple[int, int]]:
    """Yield every pair of states that one and the same text can lead two automata to."""
    seen: set[tuple[int, int]] = set()
    todo = [(_START, _START)]
    while todo:
        x, y = todo.pop()
        for a in one.after(x):
            mask = one.masks[a]
            for b in other.after(y):
                if mask & other.masks[b] and (a, b) not in seen:
                    seen.add((a, b))
                    todo.append((a, b))
                    yield a, b
