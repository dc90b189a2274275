# Matching: which lines of a block may concern which patterns, by one Hyperscan pass over the block.
# Says too much rather than too little: the readers decide.
from collections.abc import Sequence

import hyperscan as hs
from msgspec import Struct

from pyfilter.matching.probes import Expression, probes_of, probes_of_breaks
from pyfilter.matching.reading import Reader

# Stands in no log. Where one expression asks for the start of what it finds, Hyperscan makes no second
# machine for short texts, which is of little use and may take it half a second.
_NO_SECOND = Expression(rb"\x00\x01\x00\x02", hs.HS_FLAG_SOM_LEFTMOST, b"")


class Probe(Struct, frozen=True, array_like=True):
    """An expression of Hyperscan, and the patterns that a line which fits it may fit."""

    expression: bytes
    flags: int
    brief: bytes  # in its stead where there is little time to compile
    patterns: tuple[int, ...]  # numbered through all readers of a source


class Plan(Struct, frozen=True, array_like=True):
    """What is scanned for."""

    probes: tuple[Probe, ...]
    always: tuple[int, ...]  # patterns that no probe stands for: every line may fit them
    database: bytes


class Candidates(Struct, gc=False):
    """Lines of a block that may concern a pattern, in order."""

    starts: list[int]
    ends: list[int]
    masks: list[int]  # which patterns, by bit


NOBODY = Candidates([], [], [])


def plan(readers: Sequence[Reader]) -> Plan:
    """Return what to scan for. Raises RuleError when a pattern is wrong."""
    for reader in readers:
        reader.check_ignore()
    patterns = [(one.rule, compiled) for one in readers for compiled in one.patterns]
    wanted = [probes_of(rule, compiled) for rule, compiled in patterns]
    breaks = [probes_of_breaks(one.rule) for one in readers if one.rule.broken]
    if breaks:  # numbered like one more pattern
        wanted.append([expression for found in breaks for expression in found])
    try:
        return _planned(wanted)
    except hs.error:  # an expression of a user's own, perhaps
        return _planned([found if _taken(found) else [] for found in wanted])


def _planned(wanted: Sequence[Sequence[Expression]]) -> Plan:
    """Return a plan of what each pattern wants looked for."""
    probes: dict[Expression, list[int]] = {_NO_SECOND: []} if any(wanted) else {}
    for number, found in enumerate(wanted):
        for expression in found:
            probes.setdefault(expression, []).append(number)
    listed = tuple(Probe(*key, tuple(patterns)) for key, patterns in probes.items())
    always = tuple(number for number, found in enumerate(wanted) if not found)
    return Plan(listed, always, hs.dumpb(_compile(list(probes))) if listed else b"")


def _taken(expressions: Sequence[Expression]) -> bool:
    try:
        _compile(expressions)
    except hs.error:
        return False
    return True


def _compile(expressions: Sequence[Expression]) -> hs.Database:
    database = hs.Database()
    database.compile(
        expressions=[one.source for one in expressions],
        ids=list(range(len(expressions))),
        elements=len(expressions),
        flags=[one.flags for one in expressions],
    )
    return database


def _bits(numbers: Sequence[int]) -> int:
    return sum(1 << number for number in set(numbers))


class Scanner:
    """Finds candidate lines."""

    def __init__(self, planned: Plan) -> None:
        self._probes = planned.probes
        self._masks = [_bits(probe.patterns) for probe in planned.probes]
        self.always = _bits(planned.always)
        self._database = None
        if planned.database:
            self._database = hs.loadb(planned.database, hs.HS_MODE_BLOCK)
            self._database.scratch = hs.Scratch(self._database)
            _scan(self._database, b"\n", [], 0)  # raises when it is not this processor's

    def part(self, bits: int) -> "Scanner":
        """Return a scanner for some of the patterns only, soon made: it finds more than need be."""
        wanted = [[_NO_SECOND]] * bits.bit_length()
        for probe in self._probes:
            for number in probe.patterns:
                if bits >> number & 1:
                    found = Expression(probe.brief, probe.flags & hs.HS_FLAG_CASELESS, probe.brief)
                    wanted[number] = [*wanted[number], found]
        return Scanner(_planned(wanted))

    def finds(self, data: bytes) -> bool:
        """Say whether anything is found."""
        return self.candidates(data, 0) is None

    def candidates(self, data: bytes, most: int) -> Candidates | None:
        """Return the lines that a probe was found in, None when there were more than `most` finds."""
        hits: list[tuple[int, int]] = []
        if self._database is not None and data:
            _scan(self._database, data, hits, most)
            if len(hits) > most:
                return None
        hits.sort()
        return self._lines(data, hits)

    def _lines(self, data: bytes, hits: list[tuple[int, int]]) -> Candidates:
        found = Candidates([], [], [])
        end = -1
        for place, probe in hits:
            if place <= end:
                found.masks[-1] |= self._masks[probe]
                continue
            found.starts.append(data.rfind(b"\n", 0, place) + 1)
            end = data.find(b"\n", place)
            end = len(data) if end < 0 else end
            found.ends.append(end)
            found.masks.append(self._masks[probe])
        return found


def _scan(database: hs.Database, data: bytes, hits: list[tuple[int, int]], most: int) -> None:
    add = hits.append

    def note(probe: int, _start: int, end: int, _flags: int, _context: object) -> bool:
        add((end, probe))
        return len(hits) > most

    try:
        database.scan(data, match_event_handler=note)
    except hs.ScanTerminated:
        return
