# Matching: many lines at once. One expression, made of the ways to read that the present lines call
# for, takes all of them; every line that it does not take is left to the readers.
from collections import Counter
from collections.abc import Callable, Container, Iterable, Sequence
from itertools import compress

from msgspec import Struct

from pyfilter.addresses import Address
from pyfilter.matching.columns import Columns, Engine, Reading
from pyfilter.matching.heads import form_of
from pyfilter.matching.skeleton import Alternative
from pyfilter.matching.timestamps import Stamps
from pyfilter.matching.ways import NAMES, Ways
from pyfilter.model import AT_ONCE, Block, Event

_LONG = 1024  # bytes of a line that is too long to learn from
_THIN = 3  # with fewer than one line in so many to be read on, peers are read first
# What a way makes of a line: the rule's name, weight, kind, echo; whether its addresses are strict.
Row = tuple[str, float, str, bool, bool]


class Spare(Struct):
    """Hosts whose failures in a flood are only counted, because nothing follows from them."""

    hosts: Container[str]
    counts: Counter[str]  # by rule, of the failures that became no events
    # Says of an IPv6 address whether its network is one of the hosts.
    networked: Callable[[Address], bool] | None = None


class Found(Struct):
    """What was made of the lines of a block."""

    events: list[Event]
    numbers: list[int]  # of the lines they come from
    left: Sequence[int]  # numbers of the lines that were not taken
    nameless: int = 0  # lines that were taken and name no address


class Bulk:
    """Reads many lines at once, as the readers would."""

    def __init__(
        self,
        ways: Ways,
        stamps: Stamps,
        addresses: Callable[[str], Address | None],
        engine: Engine,
    ) -> None:
        self.ways = ways
        self._stamps = stamps
        self._addresses = addresses
        self._engine = engine
        self._made: dict[tuple[str, bool], Reading | None] = {}
        self._rows: dict[str, Row] = {}
        self._rule = ""  # of which all ways are to failures, if it is one
        self._thin = False  # most of what was read last was spared

    def learn(self, reader: int, index: int, line: bytes) -> None:
        """Note that a line was left to a reader, whose pattern of that index took it."""
        if self.ways.able and len(line) < _LONG and self.ways.learn(reader, index, line):
            self._made.clear()
            self._rows = dict(zip(NAMES, map(self._row, self.ways.chosen), strict=False))
            rules = {row[0] if row[1] else "" for row in self._rows.values()}
            self._rule = rules.pop() if len(rules) == 1 else ""

    def read(
        self, lines: Sequence[bytes], data: bytes, block: Block, spare: Spare | None = None
    ) -> Found:
        """Return what the lines say; `data` is all of them, each with its newline."""
        reading = self._reading(lines[0], block.live) if self.ways.chosen else None
        if reading is None or b"\r" in data:
            return Found([], [], range(len(lines)))
        claimed = self.ways.strangers.claimed(data) if self.ways.strangers else ()
        if spare and reading.peers and self._rule and self._thin:
            peers = reading.peers(data, len(lines))
            for number in claimed:
                peers[number] = ""
            return self._skimmed(peers, reading, lines, block, spare)
        columns = reading.columns(data, len(lines))
        for number in claimed:
            columns.peers[number] = columns.ways[number] = ""
        left = _empty(columns.peers)
        if spare:
            taken = self._thinned(columns, spare, len(left))
        else:
            taken = [number for number, who in enumerate(columns.peers) if who]
        return self._events(columns, taken, lines, block, Found([], [], left))

    def _skimmed(
        self, peers: list[str], reading: Reading, lines: Sequence[bytes], block: Block, spare: Spare
    ) -> Found:
        """Read all else only of the lines whose peers are not spared."""
        left = _empty(peers)
        numbers = self._unspared(peers, spare, len(left))
        some = [lines[number] for number in numbers]
        columns = reading.columns(b"\n".join([*some, b""]), len(some))
        found = self._events(columns, range(len(some)), some, block, Found([], [], left))
        found.numbers = [numbers[number] for number in found.numbers]
        return found

    def _thinned(self, columns: Columns, spare: Spare, left: int) -> list[int]:
        """Return the numbers of the lines taken but for the failures to be spared; count these."""
        if self._rule:
            return self._unspared(columns.peers, spare, left)
        ways, peers = columns.ways, columns.peers
        harmless = {way for way, row in self._rows.items() if not row[1]}
        if not harmless.isdisjoint(ways):
            peers = ["-" if way in harmless else who for way, who in zip(ways, peers, strict=True)]
        barred = self._barred(peers, spare)
        for way, failures in Counter(compress(ways, map(barred.__contains__, peers))).items():
            spare.counts[self._rows[way][0]] += failures
        return [number for number, who in enumerate(peers) if who and who not in barred]

    def _unspared(self, peers: list[str], spare: Spare, left: int) -> list[int]:
        """Return the same where all ways are to failures of one rule."""
        barred = self._barred(peers, spare)
        barred.add("")
        taken = [number for number, who in enumerate(peers) if who not in barred]
        spare.counts[self._rule] += len(peers) - len(taken) - left
        self._thin = len(taken) * _THIN < len(peers)
        return taken

    def _barred(self, peers: list[str], spare: Spare) -> set[str]:
        distinct, hosts = set(peers), spare.hosts
        barred = {who for who in distinct if who in hosts}
        barred.update(who for who in distinct if ":" in who and self._is_barred(who, spare))
        return barred

    def _is_barred(self, text: str, spare: Spare) -> bool:
        who = self._addresses(text)
        if who is None or who in spare.hosts:
            return who is not None
        return spare.networked is not None and spare.networked(who)

    def _events(
        self,
        columns: Columns,
        taken: Iterable[int],
        lines: Sequence[bytes],
        block: Block,
        found: Found,
    ) -> Found:
        """Make events; the loop that a flood spends its time in, hence its look."""
        ways, peers, rest, details = columns.ways, columns.peers, columns.rest, columns.details
        rows, add, note = self._rows, found.events.append, found.numbers.append
        live, at = block.live, block.read_at
        for number in taken:
            rule, weight, kind, echo, strict = rows[ways[number]]
            text, line = peers[number], lines[number]
            peer = Address(text) if strict and ":" not in text else self._addresses(text)
            if peer is None:
                found.nameless += 1
                continue
            pid, port, stamp, user = details(rest[number])
            name = user if user.isascii() else _decoded(user)
            if not live:
                at = self._time(stamp, line, block.read_at)
            add(Event(rule, peer, at, weight, name, line, kind, pid, port, echo))
            note(number)
        return found

    def _reading(self, line: bytes, live: bool) -> Reading | None:
        form = form_of(line) if self.ways.headed else ""
        key = (form, live)
        if key not in self._made:
            branches = self.ways.branches(form, timed=not live)
            self._made[key] = self._engine(branches) if branches else None
        return self._made[key]

    def _row(self, way: Alternative) -> Row:
        one = way.pattern
        name = self.ways.readers[way.reader].rule.name
        return name, AT_ONCE if one.ban else one.weight, one.kind, one.echo, way.strict

    def _time(self, stamp: str, line: bytes, now: float) -> float:
        at = self._stamps.of_text(stamp, now) if stamp else self._stamps.at_start(line, now)
        return now if at is None else at


def _decoded(text: str) -> str:
    return text.encode("latin-1").decode("utf-8", "backslashreplace")


def _empty(texts: list[str]) -> list[int]:
    return [number for number, text in enumerate(texts) if not text] if "" in texts else []
