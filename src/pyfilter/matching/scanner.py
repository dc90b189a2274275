# Matching: which lines of a block may concern which patterns, by one Hyperscan pass over the block.
# Says too much rather than too little: the readers decide.
from collections.abc import Sequence

import hyperscan as hs
from msgspec import Struct

from pyfilter.matching.emit import emit, silent
from pyfilter.matching.literals import Cover, best_cover
from pyfilter.matching.pattern import Compiled
from pyfilter.matching.reading import Reader
from pyfilter.matching.rule import Rule

_JSON_BROKEN = b"\"\\/<>&'"  # may be written as escapes in JSON
_NO_WORD = bytes(byte for byte in range(256) if not chr(byte).isalnum() or byte > 127)
_META = frozenset(b"\\^$.|?*+()[]{}/")


class Probe(Struct, frozen=True, array_like=True):
    """An expression of Hyperscan, and the patterns that a line which fits it may fit."""

    expression: bytes
    flags: int
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
    probes: dict[tuple[bytes, int], list[int]] = {}
    always, number = [], 0
    for reader in readers:
        reader.check_ignore()
        for compiled in reader.patterns:
            found = _probes(reader, compiled)
            for key in found:
                probes.setdefault(key, []).append(number)
            if not found:
                always.append(number)
            number += 1
    listed = tuple(Probe(*key, tuple(patterns)) for key, patterns in probes.items())
    return Plan(listed, tuple(always), hs.dumpb(_compile(listed)) if listed else b"")


def _probes(reader: Reader, compiled: Compiled) -> list[tuple[bytes, int]]:
    body = compiled.body
    json = reader.rule.format in ("json", "cut")  # the line is not what patterns are held against
    cover = best_cover(body, broken_by(reader.rule)) if body is not None else None
    if cover:
        return [_literal(cover, text) for text in cover.texts]
    expression = (
        emit(body, silent).encode("latin-1") if body is not None else compiled.regex.pattern
    )
    whole = (expression, hs.HS_FLAG_MULTILINE | hs.HS_FLAG_PREFILTER)
    return [] if json or not _takes(*whole) else [whole]


def broken_by(rule: Rule) -> bytes:
    """Return bytes at which a line may differ from what patterns are held against."""
    if rule.format == "cut":
        return _NO_WORD  # a time is cut out between words, never within one
    if rule.format != "json":
        return b""
    joined = len(rule.fields.get("message", "").split()) > 1
    return _JSON_BROKEN + b" " * joined


def _literal(cover: Cover, text: bytes) -> tuple[bytes, int]:
    escaped = b"".join(
        b"\\" * (byte in _META) + bytes([byte]) if 32 <= byte < 127 else b"\\x%02x" % byte
        for byte in text
    )
    return escaped, hs.HS_FLAG_CASELESS if cover.caseless else 0


def _takes(expression: bytes, flags: int) -> bool:
    try:
        _compile((Probe(expression, flags, ()),))
    except hs.error:
        return False
    return True


def _compile(probes: tuple[Probe, ...]) -> hs.Database:
    database = hs.Database()
    database.compile(
        expressions=[probe.expression for probe in probes],
        ids=list(range(len(probes))),
        elements=len(probes),
        flags=[probe.flags for probe in probes],
    )
    return database


def _bits(numbers: Sequence[int]) -> int:
    return sum(1 << number for number in set(numbers))


class Scanner:
    """Finds candidate lines."""

    def __init__(self, planned: Plan) -> None:
        self._masks = [_bits(probe.patterns) for probe in planned.probes]
        self.always = _bits(planned.always)
        self._database = None
        if planned.database:
            self._database = hs.loadb(planned.database, hs.HS_MODE_BLOCK)
            self._database.scratch = hs.Scratch(self._database)
            _scan(self._database, b"\n", [], 0)  # raises when it is not this processor's

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
