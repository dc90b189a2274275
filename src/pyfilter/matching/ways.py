# Matching: which ways to read many lines at once are worth having, learnt from the lines that had to
# be read one by one, and put together into one expression.
import string
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial

from pyfilter.matching.automaton import Automaton
from pyfilter.matching.certainty import agree, disjoint
from pyfilter.matching.columns import Branch, captures
from pyfilter.matching.heads import Head, head_of, heading, kind_of
from pyfilter.matching.pattern import Outline, whole
from pyfilter.matching.reading import Reader
from pyfilter.matching.scanner import Scanner
from pyfilter.matching.skeleton import Alternative, entire, skeleton
from pyfilter.matching.strangers import Strangers
from pyfilter.matching.syntax import Parser
from pyfilter.matching.tree import FOREVER, Char, Node, Repeat, Seq

NAMES = string.ascii_letters  # of ways, of one character: Python need not make such texts anew
_MOST = 20  # ways at a time
_PROOFS = 12  # at a time: each takes about a millisecond
_FIRST = 150  # lines read one by one before ways are learnt from them; doubled each time
_LAST = 20_000
_SAMPLE = 400  # lines looked at more closely each time
_SELDOM = 150  # one line in so many is too few to be worth a way
_HEADS = 512  # at most
_HEAD_OF = 8  # one of so many lines looked at is looked at for its head, too
_EMPTY = Seq(())
_BLANKS = Repeat(Char(1 << ord(" ")), 0, FOREVER)  # at its end a reader may leave them out
_ODD = tuple(Parser(text).parse() for text in (r"message repeated .*", r"\[ID .*"))


class Ways:
    """The ways to read that the present lines call for."""

    def __init__(self, readers: Sequence[Reader], scanner: Scanner) -> None:
        """Learn ways for lines of syslog if any reader is of it: the others are strangers then."""
        self.readers = readers
        self.headed = any(reader.rule.format == "syslog" for reader in readers)
        form = "syslog" if self.headed else "line"
        self._ours = {n: one for n, one in enumerate(readers) if one.rule.format == form}
        mixed = len(self._ours) < len(readers)
        self.strangers = Strangers(readers, scanner) if self.headed and mixed else None
        self.able = (self.headed or not mixed) and not any(
            reader.rule.time_format
            or (reader.rule.tags and not self.headed)
            or any(pattern.groups for pattern in reader.chosen)
            for reader in self._ours.values()
        )
        self.chosen: list[Alternative] = []
        self._heads: dict[Head | None, None] = {}  # in the order in which they came
        self._known = 0  # of these, when ways were last chosen
        numbers = range(len(readers))  # by reader: who reads the same lines
        self._company = {one: {one} if self.headed else {*numbers} for one in numbers}
        self._proved: dict[tuple[int, int, Outline], Alternative | None] = {}
        self._automata: dict[tuple[int, int, Node], Automaton] = {}
        self._seen: Counter[tuple[int, int, Outline]] = Counter()
        self._lines: dict[tuple[int, int, Outline], bytes] = {}  # one of what was seen
        self._count, self._enough = 0, _FIRST

    def learn(self, reader: int, index: int, line: bytes) -> bool:
        """Note that a line was read one by one by a pattern; say whether the ways are new."""
        if reader not in self._ours:
            return False
        self._count += 1
        if self._enough - self._count < _SAMPLE:
            found = self.readers[reader].outline(line, index)
            if found:
                self._seen[reader, index, found] += 1
                self._lines[reader, index, found] = self._lines[reader, index, ()] = line
            if self.headed and self._count % _HEAD_OF == 1 and len(self._heads) < _HEADS:
                self._learn_head(head_of(line, self._ours))
        if self._count < self._enough:
            return False
        before = self.chosen, self._known, self._stated
        self._choose()
        self._known = len(self._heads)
        self._seen.clear()
        self._lines.clear()
        self._count = 0
        if (self.chosen, self._known, self._stated) != before:
            return True
        self._enough = min(2 * self._enough, _LAST)  # too mixed to be worth looking at soon
        return False

    @property
    def _stated(self) -> int:
        return self.strangers.stated if self.strangers else 0

    def _learn_head(self, head: Head | None) -> None:
        self._heads[head] = None
        readers = head.readers if head else ()
        for reader in readers:
            if not self._company[reader].issuperset(readers):
                self._company[reader].update(readers)
                self._proved.clear()
                self.chosen = []

    def branches(self, form: str, *, timed: bool) -> list[Branch]:
        """Return how to read lines whose stamps are of a form; `timed` if their time is asked for."""
        heads: dict[Head | None, list[Head]] = {}
        for head in self._heads:
            if head and head.form == form:
                kind = kind_of(head) if self.strangers else Head(head.readers, form, "")
                heads.setdefault(kind, []).append(head)
        if not self.headed:
            heads = {None: []}
        wanted = {"pid", "time"} if timed else {"pid"}
        return [one for known in heads.items() for one in self._branches(*known, wanted)]

    def _branches(self, kind: Head | None, heads: list[Head], wanted: set[str]) -> Iterator[Branch]:
        """Yield how to read what some readers share: a way's own captures go before the head's."""
        found: dict[frozenset[str], list[tuple[str, str]]] = {}
        for number, way in enumerate(self.chosen):
            if kind is None or self._fits(kind, way):
                rest = frozenset(wanted.difference(captures(way.source)))
                found.setdefault(rest, []).append((NAMES[number], way.source))
        for rest, ways in found.items():
            yield Branch(heading(heads, rest) if heads else "", ways)

    def _fits(self, kind: Head, way: Alternative) -> bool:
        strangers = self.strangers
        return way.reader in kind.readers and (not strangers or strangers.harmless(kind, way))

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
                new.append(self._met(way, key))
        for key, count in rest.most_common():
            way = self._way(key, proofs) if count >= least else None
            if way is not None and way not in self.chosen:
                new.append(self._met(way, key))
        kept = self.chosen if len(self.chosen) + len(new) <= _MOST else []
        self.chosen = [*kept, *new][:_MOST]

    def _met(self, way: Alternative, key: tuple[int, int, Outline]) -> Alternative:
        if self.strangers:
            self.strangers.meet(self._lines[key])
        return way

    def _way(self, key: tuple[int, int, Outline], proofs: list[int]) -> Alternative | None:
        """Return the way for an outline, if it is proved or one of the proofs left proves it."""
        if key not in self._proved and proofs[0]:
            proofs[0] -= 1
            if len(self._proved) > _LAST:
                self._proved.clear()
            self._proved[key] = self._prove(*key)
        return self._proved.get(key)

    def _prove(self, reader: int, index: int, found: Outline) -> Alternative | None:
        compiled = self.readers[reader].patterns[index]
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

    def _automaton(self, reader: int, index: int, tail: Node = _EMPTY) -> Automaton:
        key = (reader, index, tail)
        if key not in self._automata:
            body = self.readers[reader].patterns[index].body or _EMPTY
            self._automata[key] = Automaton(Seq((body, tail)), wide=True)
        return self._automata[key]

    def _rivals(self, reader: int, index: int) -> Iterator[Automaton]:
        """Yield all that could claim a line besides this pattern, or before it."""
        for number in range(index):
            yield self._automaton(reader, number)
        for text in self.readers[reader].rule.ignore:
            yield Automaton(whole(text), wide=True)
        if self.headed:
            yield from (Automaton(node, wide=True) for node in _ODD)
        for other in self._company[reader] - {reader}:
            for number in range(len(self.readers[other].chosen)):
                yield self._automaton(other, number, tail=_BLANKS)
