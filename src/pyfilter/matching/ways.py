# Matching: which ways to read many lines at once are worth having, learnt from the lines that had to
# be read one by one, and put together into one expression.
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial

from pyfilter.matching.automaton import Automaton
from pyfilter.matching.certainty import agree, disjoint
from pyfilter.matching.pattern import Outline, whole
from pyfilter.matching.reading import Reader
from pyfilter.matching.skeleton import Alternative, entire, skeleton
from pyfilter.matching.syntax import Parser
from pyfilter.matching.tree import Seq
from pyfilter.model import AT_ONCE

_MOST = 20  # ways at a time
_PROOFS = 4  # at a time: each takes some milliseconds
_FIRST = 150  # lines read one by one before ways are learnt from them; doubled each time
_LAST = 20_000
_SAMPLE = 400  # lines looked at more closely each time
_SELDOM = 150  # one line in so many is too few to be worth a way
_ISO = r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)) "
_UNIX = r"(\d{10}\.\d{1,9}) "
# How the lines of a block may begin: an expression, and a stamp of that form.
_SHAPES = ((_ISO, "2026-01-02T03:04:05Z "), (_UNIX, "1767323045.123456 "), ("", ""))
_HEAD = r"([^\[\n]*+)\[(\d{1,10}+)\]: "  # possessive: what follows is in neither set
_NOTHING = 1  # the group that is always there and empty
_ODD = tuple(Parser(text).parse() for text in (r"message repeated .*", r"\[ID .*"))


# What a way makes of a line: the groups of head, stamp, pid, address, user and port; the reader, the
# rule's name, weight, kind, echo; whether its addresses are strict. A plain tuple: it is unpacked once
# a line of a flood.
Row = tuple[tuple[int, ...], int, str, float, str, bool, bool]
Rows = list[Row | None]  # by the number of the group that closed last


class Ways:
    """The ways to read that the present lines call for."""

    def __init__(self, readers: Sequence[Reader]) -> None:
        self._readers = readers
        formats = {reader.rule.format for reader in readers}
        self.headed = formats == {"syslog"}
        self.able = formats in ({"syslog"}, {"line"}) and not any(
            reader.rule.time_format
            or (reader.rule.tags and not self.headed)
            or any(pattern.groups for pattern in reader.chosen)
            for reader in readers
        )
        self.chosen: list[Alternative] = []
        self._proved: dict[tuple[int, int, Outline], Alternative | None] = {}
        self._automata: dict[tuple[int, int], Automaton] = {}
        self._seen: Counter[tuple[int, int, Outline]] = Counter()
        self._count, self._enough = 0, _FIRST

    def learn(self, reader: int, index: int, line: bytes) -> bool:
        """Note that a line was read one by one by a pattern; say whether the ways are new."""
        self._count += 1
        if self._enough - self._count < _SAMPLE:
            found = self._readers[reader].outline(line, index)
            if found:
                self._seen[reader, index, found] += 1
        if self._count < self._enough:
            return False
        before = list(self.chosen)
        self._choose()
        self._seen.clear()
        self._count = 0
        if self.chosen == before:  # what is left is too mixed to be worth looking at soon
            self._enough = min(2 * self._enough, _LAST)
        return self.chosen != before

    def _choose(self) -> None:
        least = max(2, self._seen.total() // _SELDOM)
        rest: Counter[tuple[int, int, Outline]] = Counter()
        new: list[Alternative] = []
        proofs = [_PROOFS]
        for key, count in self._seen.most_common():
            way = self._way(key, proofs) if count >= least else None
            if way is None:
                rest[key[0], key[1], ()] += count
            elif way not in self.chosen:
                new.append(way)
        for key, count in rest.most_common():
            way = self._way(key, proofs) if count >= least else None
            if way is not None and way not in self.chosen:
                new.append(way)
        kept = self.chosen if len(self.chosen) + len(new) <= _MOST else []
        self.chosen = [*kept, *new][:_MOST]

    def _way(self, key: tuple[int, int, Outline], proofs: list[int]) -> Alternative | None:
        """Return the way for an outline, if it is proved or one of the proofs left proves it."""
        if key not in self._proved and proofs[0]:
            proofs[0] -= 1
            if len(self._proved) > _LAST:
                self._proved.clear()
            self._proved[key] = self._prove(*key)
        return self._proved.get(key)

    def _prove(self, reader: int, index: int, found: Outline) -> Alternative | None:
        compiled = self._readers[reader].patterns[index]
        if compiled.body is None:
            return None
        if found:
            proof = partial(self._proof, reader, index)
            return skeleton(found, reader, compiled.pattern, compiled.body, proof)
        if self.headed and {"pid", "time"} & {*compiled.names}:
            return None
        body = self._automaton(reader, index)
        if all(disjoint(body, rival) for rival in self._rivals(reader, index)):
            return entire(reader, compiled.pattern, compiled.body)
        return None

    def _proof(self, reader: int, index: int, tree: Automaton) -> bool:
        rivals = self._rivals(reader, index)
        return agree(tree, self._automaton(reader, index)) and all(
            disjoint(tree, rival) for rival in rivals
        )

    def _automaton(self, reader: int, index: int) -> Automaton:
        if (reader, index) not in self._automata:
            body = self._readers[reader].patterns[index].body or Seq(())
            self._automata[reader, index] = Automaton(body, wide=True)
        return self._automata[reader, index]

    def _rivals(self, reader: int, index: int) -> Iterator[Automaton]:
        """Yield all that could claim a line besides this pattern, or before it."""
        for number in range(index):
            yield self._automaton(reader, number)
        for text in self._readers[reader].rule.ignore:
            yield Automaton(whole(text), wide=True)
        if self.headed:  # lines of other tags are told apart by their headers
            yield from (Automaton(node, wide=True) for node in _ODD)
            return
        for other, one in enumerate(self._readers):
            if other != reader:
                yield from (self._automaton(other, number) for number in range(len(one.chosen)))


def shape_of(text: str, headed: bool) -> int:
    """Return which form the lines of a text have, by its first line."""
    if not headed:
        return len(_SHAPES) - 1
    return next(index for index, shape in enumerate(_SHAPES) if re.match(shape[0], text))


def stamped(head: str, shape: int) -> bytes:
    """Return a header of a form, with a stamp and a PID in the places of those that were there."""
    return (_SHAPES[shape][1] + head).encode("latin-1") + b"[1]: "


def compile_ways(
    ways: Sequence[Alternative], shape: int, headed: bool, live: bool, names: Sequence[str]
) -> tuple[re.Pattern[str], Rows]:
    """Return (an expression that takes every line, what it means that this group closed last)."""
    head = _SHAPES[shape][0] + _HEAD if headed else ""
    timed = bool(_SHAPES[shape][0])
    base = _NOTHING + (2 + timed if headed else 0)
    common = {"time": _NOTHING + 1, "head": base - 1, "pid": base} if headed else {}
    if headed and not timed:
        del common["time"]
    rows: Rows = [None, None]  # the first group is that of lines which are left
    sources, place = [], base
    for way in ways:
        where = dict(common)
        for offset, name in enumerate(way.names, 1):
            where["address" if name in ("ip", "host") else name] = place + offset
        place += len(way.names) + 1
        if live:
            where.pop("time", None)
        wanted = ("head", "time", "pid", "address", "user", "port")
        places = tuple(where.get(name, _NOTHING) for name in wanted)
        one = way.pattern
        weight = AT_ONCE if one.ban else one.weight
        owner = way.reader if headed else -1
        rows += [None] * (place + 1 - len(rows))
        rows[place] = (places, owner, names[way.reader], weight, one.kind, one.echo, way.strict)
        sources.append(f"{way.source}()")
    expression = f"^()(?:{head}(?:{'|'.join(sources)})$|.*$)"
    return re.compile(expression, re.ASCII | re.MULTILINE), rows
