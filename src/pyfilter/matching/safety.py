# Matching: refuses expressions that a hostile line could make slow. An expression is dangerous when
# two of its repeats can share the same text in more than one way (Weber & Seidl's criteria).
from collections.abc import Iterable

from pyfilter.matching.automaton import Automaton
from pyfilter.matching.tree import ANY, FOREVER, Char, Group, Node, Repeat, Seq

_STATES = 4000
_NESTED = "a repeat within a repeat can share the same text in two ways"
_SHARED = (
    "two unbounded repeats can share the same text, which a hostile line could make slow; "
    "put a character between them that the first or the second excludes"
)


def danger(node: Node) -> str:
    """Return why an expression may take more than linear time on a hostile line, or ""."""
    automaton = Automaton(_before_the_rest(node))
    if len(automaton.masks) > _STATES:
        return "it is too long"
    loops = _components(automaton.follow)
    if automaton.doubled or any(_exponential(automaton, loop) for loop in loops):
        return _NESTED
    for one in loops:
        ahead = _reachable(automaton.follow, one)
        later = (other for other in loops if other is not one and not other.isdisjoint(ahead))
        if any(_polynomial(automaton, one, other) for other in later):
            return _SHARED
    return ""


def explodes(node: Node) -> str:
    """Return why an expression may take exponential time on a hostile line, or ""."""
    why = danger(node)
    return "" if why == _SHARED else why


def _before_the_rest(node: Node) -> Node:
    """Leave out "any text" at the very end: once there, a line fits, whatever follows."""
    match node:
        case Seq(
            (*parts, Repeat(Char(mask), 0, high, _) | Group(_, Repeat(Char(mask), 0, high, _)))
        ):
            return Seq(tuple(parts)) if mask == ANY and high == FOREVER else node
        case _:
            return node


def _components(follow: list[set[int]]) -> list[frozenset[int]]:
    """Return the sets of states that can reach themselves (Tarjan's algorithm)."""
    order: dict[int, int] = {}
    low: dict[int, int] = {}
    path: list[int] = []
    found = []
    for root in range(len(follow)):
        work = [(root, iter(follow[root]))] if root not in order else []
        while work:
            state, ahead = work[-1]
            if state not in order:
                order[state] = low[state] = len(order)
                path.append(state)
            following = next((other for other in ahead if other not in order), None)
            if following is not None:
                work.append((following, iter(follow[following])))
                continue
            work.pop()
            low[state] = min([low[state], *(low[other] for other in follow[state] if other in low)])
            if low[state] == order[state]:
                cut = path.index(state)
                loop = frozenset(path[cut:])
                del path[cut:]
                if len(loop) > 1 or state in follow[state]:
                    found.append(loop)
                for member in loop:
                    low[member] = len(follow)  # finished: no way back for others
    return found


def _reachable(follow: list[set[int]], start: Iterable[int]) -> set[int]:
    seen = set(start)
    todo = list(seen)
    while todo:
        fresh = follow[todo.pop()] - seen
        seen |= fresh
        todo.extend(fresh)
    return seen


def _exponential(automaton: Automaton, loop: frozenset[int]) -> bool:
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


def _meets(automaton: Automaton, loop: frozenset[int], pair: tuple[int, int], goal: int) -> bool:
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


def _polynomial(automaton: Automaton, one: frozenset[int], other: frozenset[int]) -> bool:
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
