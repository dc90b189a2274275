# Matching: the texts of which one must stand in every line that a pattern fits. The scanner looks for
# these, which is far cheaper than looking for the patterns themselves.
import re
from collections.abc import Iterable
from typing import NamedTuple

from pyfilter.matching.tree import Alt, Anchor, Char, Group, Node, Repeat, Seq

_MOST = 200  # texts in a set
_LONGEST = 48
_SHORTEST = 3  # a shorter text is in too many lines
_ENOUGH = 16  # longer than this a text gets no rarer
_COMMON = re.compile(rb"[ :\[\]0-9.]*(?: from | port | for | user )?[ :\[\]0-9.]*")
_LETTERS = 26
_VARIED = {"time", "ip", "host", "port", "pid", "user"}  # no text to be found in these


class Cover(NamedTuple):
    """Texts of which at least one is in every match."""

    texts: frozenset[bytes]
    caseless: bool = False  # the texts are in lower case and letters of either case fit

    def worth(self) -> float:
        """Return how rare the texts are likely to be; 0 means useless."""
        shortest = min((_rarity(text) for text in self.texts), default=0)
        return 0.0 if shortest < _SHORTEST else min(shortest, _ENOUGH) - len(self.texts) / 80


def all_covers(node: Node, broken: bytes = b"") -> list[tuple[bytes, ...]]:
    """Return sets of texts, of each of which a match must hold one, those that say most first."""
    found = [cover for cover in _covers(node)[1] for cover in _pieces(cover, broken)]
    telling = [one for one in found if one.worth() > 0 and not one.caseless]
    telling.sort(key=lambda one: (len(one.texts), -one.worth()))
    return [tuple(_fewest(one.texts)) for one in telling]


def best_cover(node: Node, broken: bytes = b"") -> Cover | None:
    """Return the rarest texts that a match must hold, None if all of them are too common.

    `broken` are bytes that may be written otherwise in the line: no text may hold them.
    """
    found = [cover for cover in _covers(node)[1] for cover in _pieces(cover, broken)]
    best = max(found, key=Cover.worth, default=None)
    return Cover(_fewest(best.texts), best.caseless) if best and best.worth() > 0 else None


def _fewest(texts: frozenset[bytes]) -> frozenset[bytes]:
    """Leave out texts that hold another one of them."""
    return frozenset(
        text for text in texts if not any(other in text for other in texts if other != text)
    )


def _rarity(text: bytes) -> int:
    return 0 if _COMMON.fullmatch(text) else len(text)


def _pieces(cover: Cover, broken: bytes) -> Iterable[Cover]:
    if not broken:
        return [cover]
    pieces = [
        max(re.split(rb"[" + re.escape(broken) + rb"]", text), key=len) for text in cover.texts
    ]
    return [Cover(frozenset(pieces), cover.caseless)]


def _char(mask: int) -> tuple[set[bytes], bool] | None:
    count = mask.bit_count()
    if count == 1:
        return {bytes([mask.bit_length() - 1])}, False
    low, high = mask.bit_length() - 1, (mask & -mask).bit_length() - 1
    if count == 2 and low - high == 32 and 97 <= low < 97 + _LETTERS:
        return {bytes([low])}, True
    if count <= 3:
        return {bytes([value]) for value in range(256) if mask >> value & 1}, False
    return None


class _Run:
    """Collects what a sequence spells, and the covers it leaves behind."""

    def __init__(self) -> None:
        self.texts: set[bytes] = {b""}
        self.caseless = False
        self.covers: list[Cover] = []

    def close(self) -> None:
        self.covers.append(Cover(_lowered(self.texts, self.caseless), self.caseless))
        self.texts, self.caseless = {b""}, False

    def add(self, texts: set[bytes] | None, caseless: bool, covers: list[Cover]) -> None:
        if texts is None:
            self.close()
            self.covers.extend(covers)
            return
        longer = {head + tail for head in self.texts for tail in texts}
        if len(longer) > _MOST or max(map(len, longer), default=0) > _LONGEST:
            self.close()
            longer = texts
        self.texts = longer
        self.caseless = self.caseless or caseless


def _lowered(texts: Iterable[bytes], caseless: bool) -> frozenset[bytes]:
    return frozenset(text.lower() if caseless else text for text in texts)


def _covers(node: Node) -> tuple[set[bytes] | None, list[Cover], bool]:
    """Return (all texts it can be, None if too many; its covers; caseless)."""
    match node:
        case Char(mask):
            found = _char(mask)
            return (found[0], [], found[1]) if found else (None, [], False)
        case Anchor(_):
            return {b""}, [], False
        case Group(name, inner):
            return (None, [], False) if name in _VARIED else _covers(inner)
        case Seq(parts):
            return _sequence(parts)
        case Alt(options):
            return _choice(options)
        case Repeat(inner, low, high):
            return _repeat(inner, low, high)


def _sequence(parts: Iterable[Node]) -> tuple[set[bytes] | None, list[Cover], bool]:
    run, whole = _Run(), True
    for part in parts:
        texts, covers, caseless = _covers(part)
        before = len(run.covers)
        run.add(texts, caseless, covers)
        whole = whole and len(run.covers) == before
    if whole:
        texts, caseless = run.texts, run.caseless
        return texts, [Cover(_lowered(texts, caseless), caseless)], caseless
    run.close()
    return None, run.covers, False


def _choice(options: Iterable[Node]) -> tuple[set[bytes] | None, list[Cover], bool]:
    spelled = [_covers(option) for option in options]
    caseless = any(fold for _, _, fold in spelled)
    union: set[bytes] = set()
    for texts, _, _ in spelled:
        if texts is None:
            break
        union |= texts
    else:
        if len(union) <= _MOST:
            return union, [Cover(_lowered(union, caseless), caseless)], caseless
    best = [max(covers, key=Cover.worth, default=None) for _, covers, _ in spelled]
    if None in best or len({cover.caseless for cover in best if cover}) > 1:
        return None, [], False
    together = frozenset().union(*(cover.texts for cover in best if cover))
    return None, [Cover(together, caseless)] if len(together) <= _MOST else [], False


def _repeat(inner: Node, low: int, high: int) -> tuple[set[bytes] | None, list[Cover], bool]:
    texts, covers, caseless = _covers(inner)
    if texts is not None and (low, high) == (0, 1) and len(texts) < _MOST:
        return texts | {b""}, [], caseless
    if texts is not None and low == high and len(texts) == 1:
        spelled = {text * low for text in texts}
        return spelled, [Cover(_lowered(spelled, caseless), caseless)], caseless
    return None, covers if low else [], False
