# Matching: what can be proved of expressions, so that a quicker way of reading a line may be taken
# where it provably gives the same. What would take long to prove counts as unproved.
from pyfilter.matching.automaton import Automaton, pairs

_PATIENCE = 20_000  # pairs of states


def disjoint(one: Automaton, other: Automaton) -> bool:
    """Say whether it is certain that no text fits both; the automata must be wide."""
    if one.empty and other.empty:
        return False
    for count, (a, b) in enumerate(pairs(one, other)):
        if count > _PATIENCE or (a in one.last and b in other.last):
            return False
    return True


def agree(narrow: Automaton, broad: Automaton) -> bool:
    """Say whether it is certain that where both fit a text, both capture the same of it."""
    seen: set[tuple[int, int]] = set()
    todo = []
    for count, (a, b) in enumerate(pairs(narrow, broad)):
        if count > _PATIENCE:
            return False
        if narrow.labels[a] != broad.labels[b]:
            todo.append((a, b))
    while todo:
        a, b = todo.pop()
        if (a, b) in seen:
            continue
        seen.add((a, b))
        if (a in narrow.last and b in broad.last) or len(seen) > _PATIENCE:
            return False
        todo.extend(
            (c, d)
            for c in narrow.follow[a]
            for d in broad.follow[b]
            if narrow.masks[c] & broad.masks[d] and (c, d) not in seen
        )
    return True
