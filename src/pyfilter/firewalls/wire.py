# The form of netlink messages to and from nf_tables: bytes taken apart and put together.
import os
import struct
from collections.abc import Iterator
from typing import NamedTuple

from pyfilter.errors import FirewallError

# include/uapi/linux/netfilter/nfnetlink.h and nf_tables.h
NFPROTO_INET, NFPROTO_IPV4, NFPROTO_IPV6 = 1, 2, 10
SUBSYSTEM = 10  # NFNL_SUBSYS_NFTABLES
_NFTABLES = SUBSYSTEM << 8
NEWTABLE, GETTABLE, GETCHAIN, GETRULE, GETSET = (_NFTABLES | kind for kind in (0, 1, 4, 7, 10))
NEWSETELEM, GETSETELEM, DELSETELEM = (_NFTABLES | kind for kind in (12, 13, 14))
DESTROYSETELEM = _NFTABLES | 30  # Linux 6.3 and later: deletes what is there, if it is
NEWGEN, GETGEN = _NFTABLES | 15, _NFTABLES | 16
_GEN_ID = 1
# include/uapi/linux/netlink.h
_REQUEST, ACK, ECHO, DUMP, INTERRUPTED = 0x1, 0x4, 0x8, 0x300, 0x10
EXCLUSIVE, CREATE = 0x200, 0x400
ERROR, DONE = 2, 3
_TOLD, _SAID = 0x200, 1  # NLM_F_ACK_TLVS, NLMSGERR_ATTR_MSG
HEADER = struct.Struct("=IHHII")  # length, type, flags, sequence, port
_ATTRIBUTE = struct.Struct("=HH")  # length, type
_FAMILY = struct.Struct(">BBH")  # family, version, resource
_STATUS = struct.Struct("=i")
_ERROR_SIZE = _STATUS.size + HEADER.size  # of an answer that repeats only the request's header
PAYLOAD = HEADER.size + _FAMILY.size


class Message(NamedTuple):
    """Where a message lies in a datagram, and its header."""

    start: int
    end: int
    kind: int
    flags: int
    sequence: int


def attribute(kind: int, value: str | bytes) -> bytes:
    """Return a netlink attribute that holds bytes or a C string."""
    if isinstance(value, str):
        value = value.encode() + b"\0"
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


def messages(data: bytes) -> Iterator[Message]:
    """Yield each message in a datagram."""
    start = 0
    while start + HEADER.size <= len(data):
        length, kind, flags, sequence, _ = HEADER.unpack_from(data, start)
        if length < HEADER.size:
            return
        yield Message(start, start + length, kind, flags, sequence)
        start += (length + 3) & ~3


def packed(
    kind: int,
    flags: int,
    sequence: int,
    body: bytes = b"",
    *,
    family: int = NFPROTO_INET,
    resource: int = 0,
) -> bytes:
    """Return a request; `resource` is the subsystem that a batch is for."""
    header = HEADER.pack(PAYLOAD + len(body), kind, _REQUEST | flags, sequence, 0)
    return header + _FAMILY.pack(family, 0, resource) + body


def generation(body: bytes) -> int:
    """Return the number that the kernel gave a ruleset; raises FirewallError."""
    for kind, start, end in attributes(body):
        if kind == _GEN_ID:
            return int.from_bytes(body[start:end], "big")
    raise FirewallError("the kernel does not number its rulesets: is nf_tables there?")


def status(data: bytes, message: Message) -> int:
    """Return the errno that an answer bears; 0 for none."""
    (code,) = _STATUS.unpack_from(data, message.start + HEADER.size)
    return -int(code)


def refusal(data: bytes, message: Message) -> str:
    """Return the error of an answer in words, the kernel's own included; empty for none."""
    code = status(data, message)
    said = os.strerror(code) if code else ""
    if code and message.flags & _TOLD:
        begin = message.start + HEADER.size + _ERROR_SIZE
        for kind, start, end in attributes(data, begin, message.end):
            if kind == _SAID:
                said += f" ({data[start : end - 1].decode(errors='replace')})"
    return said
