# Matching: one expression over all lines of a block, its captures as columns. PCRE2 writes them in one
# call; Python's `re` goes line by line where there is no PCRE2, or where a line is too dear for it.
import re
from collections.abc import Callable, Sequence
from itertools import count
from typing import Any

from msgspec import Struct

from pyfilter.matching.pcre2 import Expression, Pcre2

_GROUP = re.compile(r"\(\?P<(\w+)>")
_NOTHING = 1  # in an expression for `re` the group that is always there and empty
_TAB = "\t"  # parts what is read on; neither a number nor a stamp holds one
_DETAILS = ("pid", "port", "time", "user")  # any text last


class Branch(Struct, frozen=True):
    """Ways to read lines that begin alike; each capture is a group with a name."""

    head: str
    ways: Sequence[tuple[str, str]]  # name, expression


class Columns(Struct):
    """What was read of each line, by lines."""

    ways: list[str]
    peers: list[str]  # "" where none is named, or no way took the line
    rest: Sequence[Any]
    details: Callable[[Any], list[str]]  # of one of the rest: pid, port, time and user


class Reading(Struct, frozen=True):
    """Reads data of so many lines, each with its newline."""

    columns: Callable[[bytes, int], Columns]
    peers: Callable[[bytes, int], list[str]] | None = None  # of these alone, if that is quicker


Engine = Callable[[Sequence[Branch]], Reading]


def captures(source: str) -> list[str]:
    """Return the names of an expression's groups, in order."""
    return _GROUP.findall(source)


def best_engine() -> Engine:
    """Return the quickest engine of this machine: PCRE2 only where it compiles."""
    try:
        library = Pcre2()
    except OSError:
        return by_re
    return by_pcre2(library) if library.compiles else by_re


def by_pcre2(library: Pcre2) -> Engine:
    """Return the engine that asks PCRE2, and `re` for what that gives up."""

    def engine(branches: Sequence[Branch]) -> Reading:
        slots = list[str]()
        expression = library.compile(_numbered(branches, slots).encode("latin-1"))
        if expression is None:
            return by_re(branches)
        writing = _Writing(branches, slots, expression)
        return Reading(writing.columns, writing.peers)

    return engine


def _numbered(branches: Sequence[Branch], slots: list[str]) -> str:
    """Return an expression whose groups have the same name wherever their number is the same.

    `slots` becomes the list of these names. A group that a way has not is there, but never used.
    """

    def numbered(source: str, last: int) -> tuple[str, int]:
        def opened(match: re.Match[str]) -> str:
            nonlocal last
            before, name = last, match[1]
            if name not in slots[before:]:
                slots.append(name)
            last = slots.index(name, before) + 1
            return "(){0}" * (last - before - 1) + "("

        return _GROUP.sub(opened, source), last

    parts = []
    for branch in branches:
        head, last = numbered(branch.head, 0)
        ways = (f"{numbered(source, last)[0]}(*MARK:{name})" for name, source in branch.ways)
        parts.append(rf"{head}(?|{'|'.join(ways)})\n")
    return rf"(?|{'|'.join(parts)}|.*\n)"


class _Writing:
    """Has PCRE2 write the columns."""

    def __init__(
        self, branches: Sequence[Branch], slots: Sequence[str], expression: Expression
    ) -> None:
        self._branches, self._expression = branches, expression
        self._plain: Reading | None = None

        def said(name: str) -> str:
            return "".join(f"${{{n}}}" for n, slot in enumerate(slots, 1) if slot == name)

        details = _TAB.join(said(name) for name in _DETAILS)
        self._peers = f"{said('address')}\n".encode()
        self._all = b"${*MARK}\n%s%s\n" % (self._peers, details.encode())

    def columns(self, data: bytes, count: int) -> Columns:
        fields = self._written(self._all, data, count)
        if fields is None:
            self._plain = self._plain or by_re(self._branches)
            return self._plain.columns(data, count)
        return Columns(fields[::3], fields[1::3], fields[2::3], _parted)

    def peers(self, data: bytes, count: int) -> list[str]:
        peers = self._written(self._peers, data, count)
        return self.columns(data, count).peers if peers is None else peers

    def _written(self, template: bytes, data: bytes, count: int) -> list[str] | None:
        text = self._expression.written(data, template, len(data) + count * len(template))
        if text is None:
            return None
        fields = text.split("\n")
        fields.pop()
        return fields if len(fields) == count * template.count(b"\n") else None


def _parted(details: str) -> list[str]:
    return details.split(_TAB, 3)


def by_re(branches: Sequence[Branch]) -> Reading:
    """Return the engine of Python's `re`."""
    numbers, sources = count(_NOTHING + 1), list[str]()
    ways = {_NOTHING: ("", _NOTHING, (_NOTHING,) * len(_DETAILS))}
    for branch in branches:
        common = dict(zip(captures(branch.head), numbers, strict=False))
        for name, source in branch.ways:
            group = common | dict(zip(captures(source), numbers, strict=False))
            places = tuple(group.get(part, _NOTHING) for part in _DETAILS)
            ways[next(numbers)] = name, group["address"], places
        sources.append(f"{branch.head}(?:{'|'.join(f'{way[1]}()' for way in branch.ways)})\n")
    text = _GROUP.sub("(", rf"()(?:{'|'.join(sources)}|.*\n)")
    compiled = re.compile(text, re.ASCII)

    def reading(data: bytes, _count: int) -> Columns:
        matches = list(compiled.finditer(data.decode("latin-1")))
        taken = [ways[match.lastindex or 0] for match in matches]
        peers = [match[way[1]] or "" for match, way in zip(matches, taken, strict=True)]
        return Columns([way[0] for way in taken], peers, matches, details)

    def details(match: re.Match[str]) -> list[str]:
        return [part or "" for part in match.group(*ways[match.lastindex or 0][2])]

    return Reading(reading)
