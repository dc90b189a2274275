# What nf_tables holds of our table, read over netlink: nft itself would list every element each time.
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from msgspec import Struct

from pyfilter.errors import FirewallError
from pyfilter.firewalls.netlink import Netlink
from pyfilter.firewalls.wire import (
    GETCHAIN,
    GETRULE,
    GETSET,
    GETSETELEM,
    GETTABLE,
    attribute,
    attributes,
)

# include/uapi/linux/netfilter/nf_tables.h; every object's first attribute is its table's name
_TABLE = 1
_SET_NAME = _LIST_SET = 2
_SET_COUNT = 20  # Linux 6.17 and later; older kernels do not count
_LIST_ELEMENTS = 3
# of an element: NFTA_SET_ELEM_KEY, _EXPIRATION and _EXPR, within the latter NFTA_EXPR_DATA
_READ: dict[int, Any] = {1: {1: b"key"}, 5: b"left", 7: {2: {2: b"packets"}}}
_NAMES = (b"key", b"left", b"packets")


class Element(Struct, frozen=True, gc=False):
    """An element of a set: its key, milliseconds left (None: for ever), packets it stopped."""

    key: bytes
    left: int | None
    packets: int


class Kernel:
    """Reads one table of the family inet."""

    def __init__(self, table: str) -> None:
        self._netlink = Netlink()
        self._mark = attribute(_TABLE, table)

    def sets(self) -> dict[str, int | None]:
        """Return our sets with their numbers of elements, None where the kernel does not count."""
        found: dict[str, int | None] = {}
        for message in self._netlink.dump(GETSET, self._mark):
            name, count = "", None
            for kind, start, end in attributes(message):
                if kind == _SET_NAME:
                    name = message[start : end - 1].decode()
                elif kind == _SET_COUNT:
                    count = int.from_bytes(message[start:end], "big")
            found[name] = count
        return found

    def seal(self, fixed: Iterable[str]) -> bytes:
        """Return what changes whenever our table, chains, rules, sets or elements of `fixed` do."""
        parts = self._netlink.one(GETTABLE, self._mark)
        parts += [_countless(message) for message in self._netlink.dump(GETSET, self._mark)]
        for kind in (GETCHAIN, GETRULE):
            found = self._netlink.dump(kind, self._mark)
            parts += [message for message in found if message.startswith(self._mark)]
        for name in fixed:
            parts += self._lists(name)
        return b"".join(parts)

    def elements(self, name: str) -> Iterator[Element]:
        """Yield the elements of a set; nothing where there is no such set."""
        shapes: dict[int, re.Pattern[bytes]] = {}
        for message in self._lists(name):
            for kind, start, end in attributes(message):
                if kind == _LIST_ELEMENTS:
                    for _, inner, stop in attributes(message, start, end):
                        yield _element(message, inner, stop, shapes)

    def count(self, name: str) -> int:
        """Return the number of elements of a set the slow way."""
        return sum(
            1
            for message in self._lists(name)
            for kind, start, end in attributes(message)
            if kind == _LIST_ELEMENTS
            for _ in attributes(message, start, end)
        )

    def _lists(self, name: str) -> list[bytes]:
        return self._netlink.dump(GETSETELEM, self._mark + attribute(_LIST_SET, name))

    def close(self) -> None:
        self._netlink.close()


def _countless(message: bytes) -> bytes:
    return b"".join(
        message[start - 4 : end] for kind, start, end in attributes(message) if kind != _SET_COUNT
    )


def _element(message: bytes, start: int, end: int, shapes: dict[int, re.Pattern[bytes]]) -> Element:
    """Read one element; those of one kernel and one length look alike, so their shape is kept."""
    shape = shapes.get(end - start)
    found = shape.fullmatch(message, start, end) if shape else None
    if found is None:
        pattern = b"".join(_shape(message, start, end, _READ))
        missing = b"".join(b"(?P<%b>)" % name for name in _NAMES if b"<%b>" % name not in pattern)
        shapes[end - start] = shape = re.compile(pattern + missing, re.DOTALL)
        found = shape.fullmatch(message, start, end)
    if found is None:
        raise FirewallError("an element of the kernel cannot be read")
    left, packets = found["left"], int.from_bytes(found["packets"], "big")
    return Element(found["key"], int.from_bytes(left, "big") if left else None, packets)


def _shape(message: bytes, start: int, end: int, read: Mapping[int, Any]) -> Iterator[bytes]:
    """Yield a pattern of attributes: their headers as they are, what is read as named groups."""
    for kind, value, stop in attributes(message, start, end):
        yield re.escape(message[value - 4 : value])
        inner = read.get(kind)
        if isinstance(inner, Mapping):
            yield from _shape(message, value, stop, inner)
        else:
            text = b".{%d}" % (stop - value)
            yield b"(?P<%b>%b)" % (inner, text) if inner else text
        yield b".{%d}" % (-(stop - value) % 4)
