# Matching: Block -> events, in the order of its lines. The scanner says which lines may concern a
# rule, the rule's reader says what they mean.
from collections.abc import Collection, Sequence
from datetime import tzinfo
from pathlib import Path

from pyfilter.addresses import Address, address
from pyfilter.errors import AddressError
from pyfilter.matching.plans import scanner
from pyfilter.matching.reading import Hit, Reader
from pyfilter.matching.rule import Rule
from pyfilter.matching.timestamps import Stamps
from pyfilter.model import AT_ONCE, Block, Event

_KEEP = 65536  # raw texts of addresses remembered with what they mean


class Matcher:
    """Recognises what the lines of one source say about addresses."""

    def __init__(
        self,
        rules: Sequence[tuple[Rule, Collection[str]]],
        *,
        cache: Path | None = None,
        zone: tzinfo | None = None,
    ) -> None:
        """Make ready for some rules with the kinds chosen of each (none: the rule's own choice).

        `cache` is a folder for compiled scan plans, None for none. Raises RuleError.
        """
        self.readers = tuple(Reader(rule, kinds) for rule, kinds in rules)
        self._scanner = scanner(self.readers, cache)
        self._shifts: list[tuple[Reader, int, int]] = []  # reader, its first bit, its bits
        shift = 0
        for reader in self.readers:
            width = len(reader.chosen)
            self._shifts.append((reader, shift, ((1 << width) - 1) << shift))
            shift += width
        self.stamps = Stamps(zone)
        self.unattributable = 0  # lines that match but name no address (a host name, UNKNOWN)
        self._addresses: dict[bytes, Address | None] = {}

    def events(self, block: Block) -> list[Event]:
        """Return all events of a block in line order; lines of several rules give one each."""
        data = block.data
        if self._scanner.always:
            return self.plain(block)
        found = self._scanner.candidates(data, len(data))
        events: list[Event] = []
        if found is None:
            return self.plain(block)
        for start, end, mask in zip(found.starts, found.ends, found.masks, strict=True):
            line = data[start:end]
            for reader, shift, bits in self._shifts:
                if mask & bits and (hit := reader.hit(line, mask >> shift)):
                    event = self._event(reader.rule, hit, line, block)
                    if event:
                        events.append(event)
        return events

    def plain(self, block: Block) -> list[Event]:
        """Return the same, a line and a pattern at a time: what `events` must agree with."""
        found = []
        for line in block.data.removesuffix(b"\n").split(b"\n"):
            for reader in self.readers:
                hit = reader.hit(line)
                if hit and (event := self._event(reader.rule, hit, line, block)):
                    found.append(event)
        return found

    def _event(self, rule: Rule, hit: Hit, line: bytes, block: Block) -> Event | None:
        who = self._address(hit.address)
        if who is None:
            self.unattributable += 1
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
        at = None
        if hit.stamp:
            at = (
                self.stamps.by_format(hit.stamp, form, now) if form else self.stamps(hit.stamp, now)
            )
        else:
            at = self.stamps.at_start(line, now)
        return now if at is None else at

    def _address(self, raw: bytes) -> Address | None:
        try:
            return self._addresses[raw]
        except KeyError:
            if len(self._addresses) >= _KEEP:
                self._addresses.clear()
            try:
                who = address(raw.decode("ascii"))
            except (AddressError, UnicodeDecodeError):
                who = None
            self._addresses[raw] = who
            return who
