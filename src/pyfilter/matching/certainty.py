# Matching: what can be proved of expressions, so that a quicker way of reading a line may be taken
# where it provably gives the same.
from pyfilter.matching.automaton import Automaton, pairs
from pyfilter.matching.tree import Node


def disjoint(one: Node, other: Node) -> bool:
    """Say whether it is certain that no text fits both."""
    left, right = Automaton(one, wide=True), Automaton(other, wide=True)
    if left.empty and right.empty:
        return False
    return not any(a in left.last and b in right.last for a, b in pairs(left, right))


def agree(narrow: Node, broad: Node) -> bool:
    """Say whether it is certain that where both fit a text, both capture the same of it."""
    left, right = Automaton(narrow, wide=True), Automaton(broad, wide=True)
    seen: set[tuple[int, int]] = set()
    todo = [(a, b) for a, b in pairs(left, right) if left.labels[a] != right.labels[b]]
    while todo:
        a, b = todo.pop()
        if (a, b) in seen:
            continue
        seen.add((a, b))
        if a in left.last and b in right.last:
            return False
        todo.extend(
            (c, d)
            for c in left.follow[a]
            for d in right.follow[b]
            if left.masks[c] & right.masks[d] and (c, d) not in seen
        )
    return True
