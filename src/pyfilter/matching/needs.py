# Matching: a second look at candidate lines. A line holds one text of a pattern; does it hold the rest?
from collections.abc import Sequence

from pyfilter.matching.literals import all_covers
from pyfilter.matching.reading import Reader
from pyfilter.matching.scanner import broken_by

Texts = tuple[tuple[bytes, ...], ...]  # of each tuple one must be in the line


class Needs:
    """Knows all texts that lines of a pattern must hold; learns them when they are first asked for."""

    def __init__(self, readers: Sequence[Reader]) -> None:
        self._places = [(one, index) for one in readers for index in range(len(one.chosen))]
        self._known: dict[int, Texts] = {}  # by the pattern's bit

    def narrowed(self, line: bytes, mask: int) -> int:
        """Return the patterns among some, by bit, whose texts a line holds all."""
        rest = mask
        while rest:
            bit = rest & -rest
            rest ^= bit
            if not _holds(line, self._known.get(bit) or self._learnt(bit)):
                mask ^= bit
        return mask

    def _learnt(self, bit: int) -> Texts:
        reader, index = self._places[bit.bit_length() - 1]
        body = reader.compiled(index).body
        found = all_covers(body, broken_by(reader.rule)) if body is not None else []
        known = self._known[bit] = tuple(found)
        return known


def _holds(line: bytes, needed: Texts) -> bool:
    """Say whether one text of each set is in a line; plain loops, as most end at their first turn."""
    for texts in needed:
        for text in texts:
            if text in line:
                break
        else:
            return False
    return True
