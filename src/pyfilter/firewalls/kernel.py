# What nf_tables holds of our table, read over netlink: nft itself would list every element each time.
from collections.abc import Iterable, Iterator

from msgspec import Struct

from pyfilter.firewalls.netlink import (
    GETCHAIN,
    GETRULE,
    GETSET,
    GETSETELEM,
    GETTABLE,
    Netlink,
    attribute,
    attributes,
)

# include/uapi/linux/netfilter/nf_tables.h; every object's first attribute is its table's name
_TABLE = 1
_SET_NAME = _LIST_SET = 2
_SET_COUNT = 20  # Linux 6.17 and later; older kernels do not count
_LIST_ELEMENTS = 3
_KEY, _EXPIRATION, _EXPRESSION = 1, 5, 7
_COUNTER_PACKETS = 2


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
        for message in self._lists(name):
            for kind, start, end in attributes(message):
                if kind == _LIST_ELEMENTS:
                    for _, inner, stop in attributes(message, start, end):
                        yield _element(message, inner, stop)

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


def _element(message: bytes, start: int, end: int) -> Element:
    key, left, packets = b"", None, 0
    for kind, at, stop in attributes(message, start, end):
        if kind == _KEY:
            key = message[at + 4 : stop]  # one attribute inside, NFTA_DATA_VALUE
        elif kind == _EXPIRATION:
            left = int.from_bytes(message[at:stop], "big")
        elif kind == _EXPRESSION:
            packets = _packets(message, at, stop)
    return Element(key, left, packets)


def _packets(message: bytes, start: int, end: int) -> int:
    """Return the packets of a counter: NFTA_EXPR_NAME, then NFTA_EXPR_DATA with bytes and packets."""
    for kind, at, stop in attributes(message, start, end):
        if kind == 2:
            for inner, value, last in attributes(message, at, stop):
                if inner == _COUNTER_PACKETS:
                    return int.from_bytes(message[value:last], "big")
    return 0
