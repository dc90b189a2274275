# Matching: the texts of which one must stand in every line that a pattern fits. The scanner looks for
# these, which is far cheaper than looking for the patterns themselves.
import re
from collections.abc import Iterable
from typing import NamedTuple

from pyfilter.matching.tree import Alt, Anchor, Char, Group, Node, Repeat, Seq

_MOST = 200  # texts in a set
_LONGEST = 48
_SHORTEST = 2  # a text of less weight is in too many lines
_ENOUGH = 16  # longer than this a text gets no rarer
_RARE = 5  # a text of less weight may need another one beside it to tell, however common
_BESIDE = 4  # weight of what is worth looking for beside a rare text
_TOGETHER = 3.5  # weight of two that tell little: then rather the whole
_PAIRED = 4  # texts, each of which is looked for with another one behind or before it
_CUT = 12  # bytes of a text that is one of many beside another
_WORDS = rb"(?:from|port|for|user|by|to|on|in|session)"  # of nearly every log
_COMMON = re.compile(rb"[ :\[\]0-9.]*(?:%b )?[ :\[\]0-9.]*" % _WORDS)
_WORD = re.compile(rb" %b(?= |$)" % _WORDS)
_TAIL = re.compile(rb"(?<=.{12})(?: %b)+(?: [a-z]{0,3})?$" % _WORDS)
_LETTERS = 26
_NO_LETTERS = bytes(byte for byte in range(256) if not chr(byte).isalpha() or byte > 127)
_VARIED = {"time", "ip", "host", "port", "pid", "user"}  # no text to be found in these


class Cover(NamedTuple):
    """Texts of which at least one is in every match."""

    texts: frozenset[bytes]
    caseless: bool = False  # the texts are in lower case and letters of either case fit

    def worth(self) -> float:
        """Return how rare the texts are likely to be; 0 means useless."""
        least = self._least(0)
        return 0.0 if least < _SHORTEST else min(least, _ENOUGH) - len(self.texts) / 80

    def beside(self) -> float:
        """Return how much the texts tell beside another cover; too many are dear to look for."""
        return min(self._least(0.25), _ENOUGH / 2) - (len(self.texts) - 1) / 4

    def _least(self, common: float) -> float:
        return min((_weight(text, common) for text in self.texts), default=0)


def telling(node: Node, broken: bytes = b"", *, ordered: bool = True) -> tuple[Cover, ...]:
    """Return what a match must hold that tells it best: a cover, or two in the order they stand in.

    None if all texts are too common. `broken` are bytes that may be written otherwise in the line:
    no text may hold them. Two only where lines are `ordered` as what patterns are held against.
    """
    found = covers(node, broken)
    best = max(found, key=Cover.worth, default=None)
    if best is None or best.worth() <= 0:
        return ()
    alone = Cover(_fewest(best.texts), best.caseless)
    place = found.index(best)
    # What stands in front had better be rare: Hyperscan then looks on to the end of the line.
    others = (
        [one for one in found[place + 1 :] if one.beside() > _BESIDE]
        if best.worth() > _RARE
        else [one for one in found if one is not best and one.beside() > 0]
    )
    if not ordered or not others or len(alone.texts) > _PAIRED:
        return (alone,)
    other = max(others, key=Cover.beside)
    if best.worth() + other.beside() < _TOGETHER:
        return ()
    texts = other.texts if len(other.texts) == 1 else (text[:_CUT] for text in other.texts)
    pair = (alone, Cover(_fewest(frozenset(texts)), other.caseless))
    return pair if other in found[place + 1 :] else pair[::-1]


def covers(node: Node, broken: bytes = b"") -> list[Cover]:
    """Return sets of texts, of each of which a match must hold one, in the order they stand in."""
    return [_pieces(cover, broken) for cover in _covers(node)[1]]


def _fewest(texts: frozenset[bytes]) -> frozenset[bytes]:
    """Leave out texts that hold another one of them, and common words at the end of long ones.

    Hyperscan looks for the last eight bytes first.
    """
    texts = frozenset(_TAIL.sub(b"", text) for text in texts)
    return frozenset(
        text for text in texts if not any(other in text for other in texts if other != text)
    )


def _weight(text: bytes, common: float) -> float:
    """Return how telling a text is: its letters, and half of what else there is of it.

    Words that stand in nearly every log tell nothing.
    """
    if not _COMMON.fullmatch(text):
        text = _WORD.sub(b"", text)
    weight = (len(text) + len(text.translate(None, _NO_LETTERS))) / 2
    if _COMMON.fullmatch(text):
        return 0.0 if weight * 2 > len(text) else weight * common
    return weight


def _pieces(cover: Cover, broken: bytes) -> Cover:
    if not broken:
        return cover
    pieces = [
        max(re.split(rb"[" + re.escape(broken) + rb"]", text), key=len) for text in cover.texts
    ]
    return Cover(frozenset(pieces), cover.caseless)


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
    if None in best:
        return None, [], False
    caseless = any(cover.caseless for cover in best if cover)
    together = frozenset().union(*(_lowered(cover.texts, caseless) for cover in best if cover))
    return None, [Cover(together, caseless)] if len(together) <= _MOST else [], False


def _repeat(inner: Node, low: int, high: int) -> tuple[set[bytes] | None, list[Cover], bool]:
    texts, covers, caseless = _covers(inner)
    if texts is not None and (low, high) == (0, 1) and len(texts) < _MOST:
        return texts | {b""}, [], caseless
    if texts is not None and low == high and len(texts) == 1:
        spelled = {text * low for text in texts}
        return spelled, [Cover(_lowered(spelled, caseless), caseless)], caseless
    return None, covers if low else [], False
