# Matching: the readers of other formats of a file whose syslog lines are read in bulk. What they look
# for is looked for in these lines; what always stands in them is proved to mean nothing to them.
import sys
from collections.abc import Iterator, Sequence

from pyfilter.matching.automaton import Automaton
from pyfilter.matching.certainty import disjoint
from pyfilter.matching.heads import Head, tree_of
from pyfilter.matching.reading import Reader
from pyfilter.matching.scanner import NOBODY, Candidates, Scanner
from pyfilter.matching.skeleton import Alternative
from pyfilter.matching.tree import FOREVER, Char, Repeat, Seq, mask_of

_MOST = 40  # patterns to be proved
_KINDS = 8  # of heads; those that come later are left to the readers
_OF_JSON = mask_of(b"{ \t\r\n")  # what an object may begin with
_BLANKS = Repeat(Char(1 << ord(" ")), 0, FOREVER)  # at its end a reader may leave them out


class Strangers:
    """Says which lines of a bulk must be left because a reader of another format may claim them."""

    def __init__(self, readers: Sequence[Reader], scanner: Scanner) -> None:
        places = [(one, index) for one in readers for index in range(len(one.chosen))]
        self._scanner = scanner
        # By the number of the pattern, as the scanner counts them; those of syslog are no strangers.
        self._places = {n: one for n, one in enumerate(places) if one[0].rule.format != "syslog"}
        self._bits = sum(1 << number for number in self._places)
        self.stated = scanner.always & self._bits  # in lines of some way, hence to be proved
        self._watch: dict[int, Scanner] = {}  # by the patterns it is for
        self._proofs: dict[tuple[Head, str, int], bool] = {}
        self._texts: dict[tuple[Head | None, str], Automaton] = {}
        self._rivals: dict[int, Automaton] = {}
        self._kinds: set[Head] = set()

    def meet(self, line: bytes) -> None:
        """Take notice of what is found in a line of a new way."""
        for mask in self._found(line, self._bits).masks:
            self.stated |= mask & self._bits

    def harmless(self, kind: Head, way: Alternative) -> bool:
        """Say whether no stranger can claim a line of a way behind heads of a kind.

        But for what `claimed` finds in it.
        """
        self._kinds |= {kind} if len(self._kinds) < _KINDS else set()
        if kind not in self._kinds or self.stated.bit_count() > _MOST:
            return False
        return all(self._apart(kind, way, number) for number in _numbers(self.stated))

    def claimed(self, data: bytes) -> list[int]:
        """Return the numbers of the lines that a stranger may claim."""
        number = place = 0
        claimed = list[int]()
        for start in self._found(data, self._bits & ~self.stated).starts:
            number += data.count(b"\n", place, start)
            place = start
            claimed.append(number)
        return claimed

    def _found(self, data: bytes, bits: int) -> Candidates:
        """Return the lines in which some patterns' texts stand; a scanner is made when asked for."""
        if bits not in self._watch:
            kept = {known: one for known, one in self._watch.items() if known == self._bits}
            self._watch = {**kept, bits: self._scanner.part(bits)}
        return self._watch[bits].candidates(data, sys.maxsize) or NOBODY

    def _apart(self, kind: Head, way: Alternative, number: int) -> bool:
        key = (kind, way.source, number)
        if key not in self._proofs:
            reader, index = self._places[number]
            texts = [self._text(kind, way)]
            if _may_head(kind, reader):  # then it reads what follows
                texts.append(self._text(None, way))
            self._proofs[key] = (
                reader.rule.format != "cut"
                and not reader.chosen[index].groups
                and not (reader.rule.format == "json" and any(map(_may_be_json, texts)))
                and all(disjoint(text, self._rival(number)) for text in texts)
            )
        return self._proofs[key]

    def _text(self, kind: Head | None, way: Alternative) -> Automaton:
        key = (kind, way.source)
        if key not in self._texts:
            head = tree_of(kind) if kind else Seq(())
            self._texts[key] = Automaton(Seq((head, way.tree)), wide=True)
        return self._texts[key]

    def _rival(self, number: int) -> Automaton:
        if number not in self._rivals:
            reader, index = self._places[number]
            body = reader.compiled(index).body or Seq(())
            self._rivals[number] = Automaton(Seq((body, _BLANKS)), wide=True)
        return self._rivals[number]


def _may_head(kind: Head, reader: Reader) -> bool:
    """Say whether the head may be a header of the reader's."""
    tag, texts = kind.rest.rpartition(" ")[2].encode("latin-1"), reader.header_texts
    return bool(reader.rule.tags) and (not texts or any(text in tag for text in texts))


def _may_be_json(text: Automaton) -> bool:
    return text.empty or any(text.masks[state] & _OF_JSON for state in text.first)


def _numbers(bits: int) -> Iterator[int]:
    while bits:
        yield (bits & -bits).bit_length() - 1
        bits &= bits - 1
