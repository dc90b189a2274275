# Matching: many lines at once. One expression, made of the ways to read that the present lines call
# for, runs over all of them; every line that it does not take is left to the readers.
import re
from collections import Counter
from collections.abc import Callable, Container, Iterator, Sequence
from functools import partial
from typing import Any

from msgspec import Struct

from pyfilter.addresses import Address
from pyfilter.matching.header import read_header
from pyfilter.matching.reading import Reader
from pyfilter.matching.timestamps import Stamps
from pyfilter.matching.ways import Rows, Ways, compile_ways, shape_of, stamped
from pyfilter.model import Block, Event

_KEEP = 4096  # headers remembered
_LONG = 1024  # bytes of a line that is too long to learn from
_HEAD, _WHO = 0, 3  # among the groups of a row
_ELSEWHERE = -2  # the reader of a header that is nobody's, or of more than one

Head = tuple[int, float | None]  # (the one reader whose header it is, its time)
Left = list[tuple[int, int]]  # (how many events stand before it, number of the line)
Matches = Iterator[tuple[int, re.Match[str]]]
Found = tuple[list[Event], Left]


class Spare(Struct):
    """Hosts whose failures in a flood are only counted, because nothing follows from them."""

    hosts: Container[str]
    counts: Counter[str]  # by rule, of the failures that became no events


class Bulk:
    """Reads many lines at once, as the readers would."""

    def __init__(
        self,
        readers: Sequence[Reader],
        stamps: Stamps,
        addresses: Callable[[str], Address | None],
    ) -> None:
        self.ways = Ways(readers)
        self._readers = readers
        self._stamps = stamps
        self._addresses = addresses
        self._made: dict[tuple[int, bool], tuple[re.Pattern[str], Rows]] = {}
        self._heads: dict[tuple[str, int], tuple[int, bytes]] = {}

    def learn(self, reader: int, index: int, line: bytes) -> None:
        """Note that a line was left to a reader, whose pattern of that index took it."""
        if self.ways.able and len(line) < _LONG and self.ways.learn(reader, index, line):
            self._made.clear()

    def read(
        self, lines: Sequence[bytes], text: str, block: Block, spare: Spare | None = None
    ) -> Found:
        """Return (events in the order of the lines, lines left); `text` is the lines joined."""
        if not self.ways.chosen or "\r" in text:
            return [], [(0, number) for number in range(len(lines))]
        shape = shape_of(text, self.ways.headed)
        expression, rows = self._expression(shape, block.live)
        found: Matches = enumerate(expression.finditer(text))
        if spare:
            header = partial(self._header, shape=shape, now=block.read_at)
            found = self._thinned(found, rows, spare, header)
        return self._events(found, rows, shape, lines, block)

    def _events(
        self, found: Matches, rows: Rows, shape: int, lines: Sequence[bytes], block: Block
    ) -> Found:
        """Make events; the loop that a flood spends its time in, hence its look."""
        events, left, heads = list[Event](), Left(), dict[str, Head]()
        live, at, add = block.live, block.read_at, events.append
        for number, match in found:
            row = rows[match.lastindex or 0]
            if row is None:
                left.append((len(events), number))
                continue
            places, reader, rule, weight, kind, echo, strict = row
            groups: tuple[Any, ...] = match.group(*places)
            head, stamp, pid, who, user, port = groups
            owner = heads.get(head) or heads.setdefault(
                head, self._header(head, shape, block.read_at)
            )
            if owner[0] != reader:
                left.append((len(events), number))
                continue
            if not strict or ":" in who:
                pid, who, user, port = pid or "", self._addresses(who), user or "", port or ""
                if who is None:
                    continue
            if not user.isascii():
                user = user.encode("latin-1").decode("utf-8", "backslashreplace")
            if not live:
                at = self._time(stamp, owner[1], lines[number], block.read_at)
            add(Event(rule, who, at, weight, user, lines[number], kind, pid, port, echo))
        return events, left

    @staticmethod
    def _thinned(
        found: Matches, rows: Rows, spare: Spare, header: Callable[[str], Head]
    ) -> Matches:
        """Yield what is left of matches without the failures to be spared, and count those."""
        hosts, spared, heads = spare.hosts, list[str](), dict[str, Head]()
        for one in found:
            match = one[1]
            row = rows[match.lastindex or 0]
            if row and match[row[0][_WHO]] in hosts and row[3]:  # as written it is an address
                head = match[row[0][_HEAD]]
                owner = heads.get(head) or heads.setdefault(head, header(head))
                if owner[0] == row[1]:
                    spared.append(row[2])
                    continue
            yield one
        spare.counts.update(spared)

    def _expression(self, shape: int, live: bool) -> tuple[re.Pattern[str], Rows]:
        made = self._made.get((shape, live))
        if made is None:
            names = [reader.rule.name for reader in self._readers]
            ways = self.ways
            made = compile_ways(ways.chosen, shape, ways.headed, live, names)
            self._made[shape, live] = made
        return made

    def _header(self, head: str, shape: int, now: float) -> Head:
        if not self.ways.headed:
            return -1, None
        key = (head, shape)
        if key not in self._heads:
            if len(self._heads) > _KEEP:
                self._heads.clear()
            self._heads[key] = self._owner(stamped(head, shape))
        reader, stamp = self._heads[key]
        return reader, self._stamps(stamp, now) if stamp else None

    def _owner(self, line: bytes) -> tuple[int, bytes]:
        found = [
            (index, header)
            for index, reader in enumerate(self._readers)
            if reader.header and (header := read_header(reader.header, line))
        ]
        if len(found) != 1 or found[0][1].end != len(line) or found[0][1].pid != b"1":
            return _ELSEWHERE, b""
        return found[0][0], found[0][1].stamp

    def _time(self, stamp: str | None, base: float | None, line: bytes, now: float) -> float:
        if stamp:
            at = self._stamps.of_text(stamp, now)
        elif base is not None:
            return base
        else:
            at = self._stamps.at_start(line, now)
        return now if at is None else at
