# Matching: which ways to read many lines at once are worth having, learnt from the lines that had to
# be read one by one, and put together into one expression.
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial

from pyfilter.matching.automaton import Automaton
from pyfilter.matching.certainty import agree, disjoint
from pyfilter.matching.columns import Branch, captures
from pyfilter.matching.heads import Head, head_of, heading
from pyfilter.matching.pattern import Outline, whole
from pyfilter.matching.reading import Reader
from pyfilter.matching.skeleton import Alternative, entire, skeleton
from pyfilter.matching.syntax import Parser
from pyfilter.matching.tree import Seq

_MOST = 20  # ways at a time
_PROOFS = 4  # at a time: each takes some milliseconds
_FIRST = 150  # lines read one by one before ways are learnt from them; doubled each time
_LAST = 20_000
_SAMPLE = 400  # lines looked at more closely each time
_SELDOM = 150  # one line in so many is too few to be worth a way
_HEADS = 512  # at most
_HEAD_OF = 8  # one of so many lines looked at is looked at for its head, too
_ODD = tuple(Parser(text).parse() for text in (r"message repeated .*", r"\[ID .*"))


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
        self._heads: dict[Head | None, None] = {}  # in the order in which they came
        self._known = 0  # of these, when ways were last chosen
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
            if self.headed and self._count % _HEAD_OF == 1 and len(self._heads) < _HEADS:
                self._heads[head_of(line, self._readers)] = None
        if self._count < self._enough:
            return False
        before = self.chosen, self._known
        self._choose()
        self._known = len(self._heads)
        self._seen.clear()
        self._count = 0
        if self.chosen == before[0]:  # what is left is too mixed to be worth looking at soon
            self._enough = min(2 * self._enough, _LAST)
        return (self.chosen, self._known) != before

    def branches(self, form: str, *, timed: bool) -> list[Branch]:
        """Return how to read lines whose stamps are of a form; `timed` if their time is asked for."""
        found: dict[tuple[int, frozenset[str]], list[tuple[str, str]]] = {}
        for number, way in enumerate(self.chosen):
            of_head = frozenset({"pid", "time"} if timed else {"pid"}) - {*captures(way.source)}
            found.setdefault((way.reader, of_head), []).append((str(number), way.source))
        if not self.headed:
            return [Branch("", ways) for ways in found.values()]
        heads = [head for head in self._heads if head and head.form == form]
        return [
            Branch(heading(some, form, of_head), ways)
            for (reader, of_head), ways in found.items()
            if (some := [head for head in heads if head.reader == reader])
        ]

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
