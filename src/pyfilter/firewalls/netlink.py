# NETLINK_NETFILTER read directly: what stands in the kernel, and the bell that tells of changes.
# nft itself lists every element even when asked to be terse; here one asks for what one wants.
import errno
import os
import socket
import struct
import sys
from collections.abc import Container, Iterable, Iterator

from pyfilter.errors import FirewallError
from pyfilter.firewalls.privilege import unprivileged

# include/uapi/linux/netfilter/nfnetlink.h and nf_tables.h
_NETLINK_NETFILTER = 12
_SUBSYSTEM = 10 << 8  # NFNL_SUBSYS_NFTABLES
_NFNLGRP_NFTABLES = 7
NFPROTO_INET, NFPROTO_IPV4, NFPROTO_IPV6 = 1, 2, 10
GETTABLE, GETCHAIN, GETRULE, GETSET, GETSETELEM, GETGEN = 1, 4, 7, 10, 13, 16
# include/uapi/linux/netlink.h
_REQUEST, _DUMP, _INTERRUPTED = 0x1, 0x300, 0x10
_ERROR, _DONE = 2, 3
_HEADER = struct.Struct("=IHHII")  # length, type, flags, sequence, port
_ATTRIBUTE = struct.Struct("=HH")  # length, type
_FAMILY = struct.Struct("=BBH")
_NOTICE = struct.Struct(">BBH")  # family, version, lower half of the generation
_PAYLOAD = _HEADER.size + _FAMILY.size
_DATAGRAM = 1 << 16
_BELL_BUFFER = 1 << 18
_GEN_ID = 1
_ATTEMPTS = 3


def attribute(kind: int, text: str) -> bytes:
    """Return a netlink attribute that holds a C string."""
    value = text.encode() + b"\0"
    return _ATTRIBUTE.pack(4 + len(value), kind) + value + bytes(-len(value) % 4)


def attributes(
    data: bytes, start: int = 0, end: int | None = None
) -> Iterator[tuple[int, int, int]]:
    """Yield (kind, start, end) of the value of each attribute in a stretch of a message."""
    stop = len(data) if end is None else end
    while start + 4 <= stop:
        length, kind = _ATTRIBUTE.unpack_from(data, start)
        if length < 4:
            return
        yield kind & 0x3FFF, start + 4, start + length
        start += (length + 3) & ~3


class Netlink:
    """One socket to nf_tables: requests and their answers."""

    def __init__(self) -> None:
        self._socket = _socket(0)
        self._socket.settimeout(5.0)  # the kernel answers at once, or something is very wrong

    def generation(self) -> int:
        """Return the number of the last transaction, whoever made it."""
        for message in self.one(GETGEN, b""):
            for kind, start, end in attributes(message):
                if kind == _GEN_ID:
                    return int.from_bytes(message[start:end], "big")
        raise FirewallError("the kernel does not number its rulesets: is nf_tables there?")

    def one(self, kind: int, selector: bytes) -> list[bytes]:
        """Return the attributes of the object that a selector names; nothing where it is absent."""
        answer: list[bytes] = []
        self._take(kind, 0, selector, answer)
        return answer

    def dump(self, kind: int, selector: bytes) -> list[bytes]:
        """Return the attributes of all selected objects.

        Where others change the ruleset meanwhile, asks again, and in the end takes what there is:
        then an element may be missing or there twice.
        """
        answer: list[bytes] = []
        for _ in range(_ATTEMPTS):
            answer.clear()
            if self._take(kind, _DUMP, selector, answer):
                break
        return answer

    def close(self) -> None:
        self._socket.close()

    def _take(self, kind: int, flags: int, selector: bytes, answer: list[bytes]) -> bool:
        """Add what the kernel answers; say whether nothing changed while it did."""
        body = _FAMILY.pack(NFPROTO_INET, 0, 0) + selector
        length = _HEADER.size + len(body)
        header = _HEADER.pack(length, _SUBSYSTEM | kind, _REQUEST | flags, 0, 0)
        interrupted = 0
        try:
            self._socket.send(header + body)
            while True:
                data = self._socket.recv(_DATAGRAM)
                for start, end, said, state in _messages(data):
                    interrupted |= state & _INTERRUPTED
                    if said in {_ERROR, _DONE}:
                        _check(data[start + _HEADER.size : end])
                        return not interrupted
                    answer.append(data[start + _PAYLOAD : end])
                if not flags:
                    return True
        except OSError as error:
            raise FirewallError(
                f"the kernel does not tell its ruleset: {error.strerror}"
            ) from error


class Bell:
    """A socket that every change of the ruleset writes to."""

    def __init__(self) -> None:
        self._socket = _socket(1 << (_NFNLGRP_NFTABLES - 1))
        self._socket.setblocking(False)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BELL_BUFFER)

    def fileno(self) -> int:
        return self._socket.fileno()

    def drain(self) -> list[bytes] | None:
        """Empty the socket; None where the kernel had to drop some of what was in it."""
        notices: list[bytes] = []
        lost = False
        while True:
            try:
                notices.append(self._socket.recv(_DATAGRAM))
            except BlockingIOError:
                return None if lost else notices
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise FirewallError(f"the bell is broken: {error.strerror}") from error
                lost = True

    def close(self) -> None:
        self._socket.close()


def generations(notices: Iterable[bytes], mark: bytes, families: Container[int]) -> set[int]:
    """Return the transactions, by the lower half of their generation, that concern a table."""
    found = set()
    for data in notices:
        for start, _, _, _ in _messages(data):
            family, _, generation = _NOTICE.unpack_from(data, start + _HEADER.size)
            if family in families and data.startswith(mark, start + _PAYLOAD):
                found.add(generation)
    return found


def _socket(groups: int) -> socket.socket:
    kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC
    try:
        made = socket.socket(socket.AF_NETLINK, kind, _NETLINK_NETFILTER)
    except OSError as error:
        raise FirewallError(
            f"this kernel has no nf_tables: {error.strerror}", recoverable=False
        ) from error
    try:
        made.bind((0, groups))
    except OSError as error:
        made.close()
        raise unprivileged() from error  # whoever may not administer the network may not listen
    return made


def _messages(data: bytes) -> Iterator[tuple[int, int, int, int]]:
    """Yield (start, end, kind, flags) of each message in a datagram."""
    start = 0
    while start + _HEADER.size <= len(data):
        length, kind, flags, _, _ = _HEADER.unpack_from(data, start)
        if length < _HEADER.size:
            return
        yield start, start + length, kind, flags
        start += (length + 3) & ~3


def _check(status: bytes) -> None:
    code = -int.from_bytes(status[:4], sys.byteorder, signed=True)
    if code == errno.EPERM:
        raise unprivileged()
    if code not in {0, errno.ENOENT}:  # what is not there is an empty answer
        raise FirewallError(f"the kernel does not tell its ruleset: {os.strerror(code)}")
