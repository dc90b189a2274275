# Matching: Block -> events, in the order of its lines. The scanner says which lines may concern a
# rule, the bulk takes most of them at once, the rule's reader says what the others mean.
from bisect import bisect_left
from collections.abc import Collection, Iterator, Sequence
from datetime import tzinfo
from functools import cached_property
from pathlib import Path

from pyfilter.addresses import Address, address
from pyfilter.errors import AddressError
from pyfilter.matching.breaks import Breaks
from pyfilter.matching.bulk import Bulk, Found, Spare
from pyfilter.matching.columns import Engine, best_engine
from pyfilter.matching.plans import scanner
from pyfilter.matching.reading import Hit, Reader
from pyfilter.matching.rule import Rule
from pyfilter.matching.scanner import Scanner
from pyfilter.matching.timestamps import Stamps
from pyfilter.matching.ways import Ways
from pyfilter.model import AT_ONCE, Block, Event

_KEEP = 65536  # raw texts of addresses remembered with what they mean
_FEW = 8  # lines that are read one by one
_CROWDED = 250  # bytes a find: more finds than this make a block dense
_PORTION = 32_768  # bytes taken at once while the bulk has yet to learn how to read them, and
_LARGE = 131_072  # from then on: what of them is looked at stays near the processor
_FINDS = 64  # a line: with more of them all patterns are asked about each line that is left
_ALL = -1  # all patterns, by bit
_KNOWN = 32  # one line in so many: with fewer lines left to the readers it has learnt
_SPARSE = 4  # one line in so many: with fewer events a block is not dense


class Matcher:
    """Recognises what the lines of one source say about addresses."""

    def __init__(
        self,
        rules: Sequence[tuple[Rule, Collection[str]]],
        *,
        cache: Path | None = None,
        zone: tzinfo | None = None,
        engine: Engine | None = None,
    ) -> None:
        """Make ready for some rules with the kinds chosen of each (none: the rule's own choice).

        `cache` is a folder for compiled scan plans, None for none; `engine` reads many lines at once,
        None for the best of this machine. Raises RuleError.
        """
        self.readers = tuple(Reader(rule, kinds) for rule, kinds in rules)
        self.stamps = Stamps(zone)
        self.unattributable = 0  # lines that match but name no address (a host name, UNKNOWN)
        self._addresses: dict[str, Address | None] = {}
        self._breaks = Breaks(rule for rule, _ in rules)
        self._scanner = scanner(self.readers, cache)
        ways = Ways(self.readers, self._scanner)
        self._bulk = Bulk(ways, self.stamps, self._meaning, engine or best_engine())
        self._dense = False
        self._portion = _PORTION
        self._bits: list[tuple[int, int]] = []  # a reader's first pattern, its patterns as bits
        shift = 0
        for reader in self.readers:
            width = len(reader.chosen)
            self._bits.append((shift, ((1 << width) - 1) << shift))
            shift += width
        self._doubt = 1 << shift  # behind the patterns: a visitor may have broken a message

    def events(self, block: Block, spare: Spare | None = None) -> list[Event]:
        """Return all events of a block in line order; lines of several rules give one each.

        Failures of the hosts to `spare` may be missing: these are counted there.
        """
        data = block.data
        if not self._dense and not self._scanner.always:
            most = max(_FEW * _FEW, len(data) // _CROWDED)
            found = self._scanner.candidates(data, most)
            if found and any(mask & self._doubt for mask in found.masks):
                data = self._breaks.mended(data)
                found = self._scanner.candidates(data, most)
            if found:
                places = zip(found.starts, found.ends, found.masks, strict=True)
                asked = [(data[a:b], mask) for a, b, mask in places if mask != self._doubt]
                return self._chosen(asked, block, spare)
        return self._crowd(self._mended(data.removesuffix(b"\n")), block, spare)

    def plain(self, block: Block) -> list[Event]:
        """Return the same, a line and a pattern at a time: what `events` must agree with."""
        found = []
        for line in self._breaks.mended(block.data.removesuffix(b"\n")).split(b"\n"):
            for reader in self.readers:
                hit = reader.hit(line)
                if hit and (event := self._event(reader.rule, hit, line, block)):
                    found.append(event)
        return found

    def _mended(self, data: bytes) -> bytes:
        """Return the data without doubtful lines; mostly there is no sign of any."""
        doubtful = self._scanner.always & self._doubt or self._signs.finds(data)
        return self._breaks.mended(data) if doubtful else data

    @cached_property
    def _signs(self) -> Scanner:
        return self._scanner.part(self._doubt)

    def _chosen(
        self, asked: list[tuple[bytes, int]], block: Block, spare: Spare | None
    ) -> list[Event]:
        """Return the events of candidate lines, each with the patterns that it may fit."""
        lines = [line for line, _ in asked]
        if len(lines) < _FEW:
            masked = [(number, mask) for number, (_, mask) in enumerate(asked)]
            return self._woven(Found([], [], []), masked, lines, block)
        found = self._bulk.read(lines, b"\n".join([*lines, b""]), block, spare)
        masked = [(number, asked[number][1]) for number in found.left]
        return self._woven(found, masked, lines, block)

    def _crowd(self, data: bytes, block: Block, spare: Spare | None) -> list[Event]:
        """Return the events of a block most of whose lines matter."""
        events: list[Event] = []
        before = spare.counts.total() if spare else 0
        start, end, count = 0, len(data), 0
        while start < end:
            cut = data.find(b"\n", start + self._portion)
            cut = end if cut < 0 else cut
            part = data[start:cut]
            lines = part.split(b"\n")
            found = self._bulk.read(lines, part + b"\n", block, spare)
            masked = self._masked(lines, found.left)
            events += self._woven(found, masked, lines, block)
            if cut < end and len(masked) * _KNOWN < len(lines):
                self._portion = _LARGE
            count += len(lines)
            start = cut + 1
        spared = spare.counts.total() - before if spare else 0
        self._dense = (len(events) + spared) * _SPARSE > count
        return events

    def _masked(self, lines: list[bytes], left: Sequence[int]) -> list[tuple[int, int]]:
        """Return the numbers of the lines left that may concern patterns, and which these are."""
        always = self._scanner.always
        data = b"\n".join([lines[number] for number in left])
        found = self._scanner.candidates(data, _FINDS * len(left))
        if found is None:
            return [(number, _ALL) for number in left]
        masks: dict[int, int] = {}
        index = place = 0
        for start, mask in zip(found.starts, found.masks, strict=True):
            index += data.count(b"\n", place, start)
            place = start
            masks[left[index]] = mask
        if always:
            return [(number, masks.get(number, 0) | always) for number in left]
        return list(masks.items())

    def _woven(
        self, found: Found, masked: list[tuple[int, int]], lines: list[bytes], block: Block
    ) -> list[Event]:
        """Return events with those of lines that are left, with masks, put in their places."""
        self.unattributable += found.nameless
        woven: list[Event] = []
        taken = 0
        for number, mask in masked:
            before = bisect_left(found.numbers, number, taken)
            woven += found.events[taken:before]
            taken = before
            woven += self._read(lines[number], mask, block)
        return woven + found.events[taken:] if masked else found.events

    def _read(self, line: bytes, mask: int, block: Block) -> Iterator[Event]:
        for number, (shift, bits) in enumerate(self._bits):
            if not mask & bits:
                continue
            reader = self.readers[number]
            hit = reader.hit(line, mask >> shift)
            if hit is not None:
                self._bulk.learn(number, hit.number, line)
                event = self._event(reader.rule, hit, line, block)
                if event is not None:
                    yield event

    def _event(self, rule: Rule, hit: Hit, line: bytes, block: Block) -> Event | None:
        who = self._address(hit.address.decode("latin-1"))
        if who is None:
            return None
        pattern = hit.pattern
        return Event(
            rule.name,
            who,
            block.read_at if block.live else self._time(rule.time_format, hit, line, block.read_at),
            AT_ONCE if pattern.ban else pattern.weight * hit.repeats,
            hit.user.decode("utf-8", "backslashreplace"),
            line.removesuffix(b"\r"),
            pattern.kind,
            hit.pid.decode("ascii", "replace"),
            hit.port.decode("ascii", "replace"),
            pattern.echo,
        )

    def _time(self, form: str, hit: Hit, line: bytes, now: float) -> float:
        if hit.stamp:
            stamp = hit.stamp
            at = self.stamps.by_format(stamp, form, now) if form else self.stamps(stamp, now)
        else:
            at = self.stamps.at_start(line, now)
        return now if at is None else at

    def _address(self, raw: str) -> Address | None:
        """Return what a text means, None (and count it) if it is no address."""
        who = self._meaning(raw)
        if who is None:
            self.unattributable += 1
        return who

    def _meaning(self, raw: str) -> Address | None:
        """Return the address that a text is, None if it is none."""
        try:
            return self._addresses[raw]
        except KeyError:
            if len(self._addresses) >= _KEEP:
                self._addresses.clear()
            try:
                who = address(raw)
            except AddressError:
                who = None
            self._addresses[raw] = who
        return who
