# Matching: refuses expressions that a hostile line could make slow. An expression is dangerous when
# two of its repeats can share the same text in more than one way (Weber & Seidl's criteria).
from collections.abc import Iterable

from pyfilter.matching.tree import FOREVER, Alt, Anchor, Char, Group, Node, Repeat, Seq

_COPIES = 3  # of a counted repeat in the automaton: enough to see what it overlaps with
_STATES = 4000
_NESTED = "a repeat within a repeat can share the same text in two ways"
_SHARED = (
    "two unbounded repeats can share the same text, which a hostile line could make slow; "
    "put a character between them that the first or the second excludes"
)


class _Automaton:
    """Glushkov's: one state a byte of the expression, edges to what may follow."""

    def __init__(self) -> None:
        self.masks: list[int] = []
        self.follow: list[set[int]] = []
        self.doubled = False  # an edge was made twice: a repeat within a repeat

    def add(self, node: Node) -> tuple[bool, set[int], set[int]]:
        """Return (may be empty, first states, last states)."""
        match node:
            case Char(mask):
                self.masks.append(mask)
                self.follow.append(set())
                return False, {len(self.masks) - 1}, {len(self.masks) - 1}
            case Anchor(_):
                return True, set(), set()
            case Group(_, inner):
                return self.add(inner)
            case Alt(options):
                return self._either([self.add(option) for option in options])
            case Seq(parts):
                return self._chain(self.add(part) for part in parts)
            case Repeat(inner, low, high):
                return self._again(inner, low, high)

    def _either(
        self, found: list[tuple[bool, set[int], set[int]]]
    ) -> tuple[bool, set[int], set[int]]:
        return (
            any(empty for empty, _, _ in found),
            set().union(*(first for _, first, _ in found)),
            set().union(*(last for _, _, last in found)),
        )

    def _chain(
        self, found: Iterable[tuple[bool, set[int], set[int]]]
    ) -> tuple[bool, set[int], set[int]]:
        empty, first, last = True, set[int](), set[int]()
        for part_empty, part_first, part_last in found:
            for state in last:
                self.follow[state] |= part_first
            if empty:
                first = first | part_first
            last = last | part_last if part_empty else part_last
            empty = empty and part_empty
        return empty, first, last

    def _again(self, node: Node, low: int, high: int) -> tuple[bool, set[int], set[int]]:
        endless = high == FOREVER
        must = min(low, _COPIES)
        may = 0 if endless else min(high - low, _COPIES - min(must, _COPIES - 1))
        parts = [self.add(node) for _ in range(must)]
        parts += [(True, *self.add(node)[1:]) for _ in range(may)]
        if endless:
            _, first, last = self.add(node)
            for state in last:
                self.doubled = self.doubled or not first.isdisjoint(self.follow[state])
                self.follow[state] |= first
            parts.append((True, first, last))
        return self._chain(parts)


def danger(node: Node) -> str:
    """Return why an expression may take more than linear time on a hostile line, or ""."""
    automaton = _Automaton()
    automaton.add(node)
    if len(automaton.masks) > _STATES:
        return "it is too long"
    loops = _components(automaton.follow)
    if automaton.doubled or any(_exponential(automaton, loop) for loop in loops):
        return _NESTED
    if any(
        one is not other and _polynomial(automaton, one, other) for one in loops for other in loops
    ):
        return _SHARED
    return ""


def explodes(node: Node) -> str:
    """Return why an expression may take exponential time on a hostile line, or ""."""
    why = danger(node)
    return "" if why == _SHARED else why


def _components(follow: list[set[int]]) -> list[frozenset[int]]:
    """Return the sets of states that can reach themselves."""
    reach = [_reachable(follow, state) for state in range(len(follow))]
    found = {
        frozenset(other for other in reach[state] if state in reach[other])
        for state in range(len(follow))
        if state in reach[state]
    }
    return sorted(found, key=min)


def _reachable(follow: list[set[int]], start: int) -> set[int]:
    seen: set[int] = set()
    todo = list(follow[start])
    while todo:
        state = todo.pop()
        if state not in seen:
            seen.add(state)
            todo.extend(follow[state] - seen)
    return seen


def _exponential(automaton: _Automaton, loop: frozenset[int]) -> bool:
    """Say whether one word leads from a state back to it in two ways."""
    masks, follow = automaton.masks, automaton.follow
    for start in loop:
        seen: set[tuple[int, int]] = set()
        todo = [(start, start)]
        while todo:
            left, right = todo.pop()
            for a in follow[left] & loop:
                for b in follow[right] & loop:
                    if (a, b) not in seen and masks[a] & masks[b]:
                        seen.add((a, b))
                        todo.append((a, b))
        if any(a != b and _meets(automaton, loop, (a, b), start) for a, b in seen):
            return True
    return False


def _meets(automaton: _Automaton, loop: frozenset[int], pair: tuple[int, int], goal: int) -> bool:
    masks, follow = automaton.masks, automaton.follow
    seen = {pair}
    todo = [pair]
    while todo:
        left, right = todo.pop()
        for a in follow[left] & loop:
            for b in follow[right] & loop:
                if masks[a] & masks[b] and (a, b) not in seen:
                    if a == b == goal:
                        return True
                    seen.add((a, b))
                    todo.append((a, b))
    return False


def _polynomial(automaton: _Automaton, one: frozenset[int], other: frozenset[int]) -> bool:
    """Say whether one word loops at p, leads from p to q, and loops at q."""
    masks, follow = automaton.masks, automaton.follow
    for p in one:
        for q in other:
            start, goal = (p, p, q), (p, q, q)
            seen = {start}
            todo = [start]
            while todo:
                x, y, z = todo.pop()
                for a in follow[x] & one:
                    for c in follow[z] & other:
                        both = masks[a] & masks[c]
                        if not both:
                            continue
                        for b in follow[y]:
                            state = (a, b, c)
                            if masks[b] & both and state not in seen:
                                if state == goal:
                                    return True
                                seen.add(state)
                                todo.append(state)
    return False
