# Elements of our sets as the kernel takes them: packed here, because nearly every transaction is
# a ban or a release, and nft would read the whole outline of the ruleset before each.
import socket
import struct
from collections.abc import Iterable, Mapping, Sequence

from pyfilter.addresses import Network
from pyfilter.errors import FirewallError
from pyfilter.firewalls.batch import Batch
from pyfilter.firewalls.netlink import Change
from pyfilter.firewalls.ruleset import NAME, Prefix, set_name
from pyfilter.firewalls.wire import CREATE, DELSETELEM, EXCLUSIVE, NEWSETELEM, attribute

# include/uapi/linux/netfilter/nf_tables.h
_LIST_TABLE, _LIST_SET, _LIST_ELEMENTS = 1, 2, 3
_NESTED = 0x8000
_ELEMENT, _KEY, _VALUE = _NESTED | 1, _NESTED | 1, 1
_USER_DATA = 6
_COMMENT = 0  # within user data, by libnftnl: kind, length, text
_HEADS = struct.Struct("=HHHHHH")  # length and kind of the element, of its key, of the key's value
_TIMEOUT = struct.pack("=HH", 12, 4)
_LONGEST = 36500 * 86_400_000  # milliseconds: a hundred years
_MOST = 700  # elements a message: an attribute holds 64 KB, an element at most 92 bytes

Elements = Mapping[Prefix, Sequence[bytes]]


def straight(batch: Batch) -> list[Change]:
    """Return changes for what is new and what is there, as it nearly always is."""
    return [
        *_changes(NEWSETELEM, CREATE | EXCLUSIVE, _ending(batch.bans)),
        *_changes(DELSETELEM, 0, _named(batch.releases)),
    ]


def either_way(batch: Batch) -> list[Change]:
    """Return changes that do not care what is there.

    Adding what is there is no error, but leaves its old timeout on older kernels; so it goes and
    comes back in the same transaction.
    """
    gone = _named((*batch.bans, *batch.releases))
    return [
        *_changes(NEWSETELEM, CREATE, gone),
        *_changes(DELSETELEM, 0, gone),
        *_changes(NEWSETELEM, CREATE, _ending(batch.bans)),
    ]


def _changes(kind: int, flags: int, elements: Elements) -> list[Change]:
    return [
        Change(kind, flags, _body(where, packed[start : start + _MOST]))
        for where, packed in elements.items()
        for start in range(0, len(packed), _MOST)
    ]


def _body(where: Prefix, packed: Sequence[bytes]) -> bytes:
    place = attribute(_LIST_TABLE, NAME) + attribute(_LIST_SET, set_name(where))
    return place + attribute(_NESTED | _LIST_ELEMENTS, b"".join(packed))


def _named(subjects: Iterable[Network]) -> Elements:
    """Return elements that are no more than their keys."""
    found: dict[Prefix, list[bytes]] = {}
    for subject in subjects:
        where, key = _place(subject)
        found.setdefault(where, []).append(_element(key))
    return found


def _ending(bans: Mapping[Network, float | None]) -> Elements:
    """Return elements with their ends; a network is shown as such to whoever lists the set."""
    found: dict[Prefix, list[bytes]] = {}
    for subject, seconds in bans.items():
        where, key = _place(subject)
        rest = b"" if seconds is None else _TIMEOUT + _milliseconds(seconds)
        if "/" in subject:
            rest += _comment(subject)
        found.setdefault(where, []).append(_element(key, rest))
    return found


def _place(subject: Network) -> tuple[Prefix, bytes]:
    """Return the set that a subject belongs to, and its key there."""
    base, slash, length = subject.partition("/")
    family, version = (socket.AF_INET6, 6) if ":" in base else (socket.AF_INET, 4)
    try:
        key = socket.inet_pton(family, base)
    except OSError:
        raise FirewallError(f"{subject!r} is no canonical network", recoverable=False) from None
    return (version, int(length) if slash else 8 * len(key)), key


def _element(key: bytes, rest: bytes = b"") -> bytes:
    size = len(key)
    heads = _HEADS.pack(12 + size + len(rest), _ELEMENT, 8 + size, _KEY, 4 + size, _VALUE)
    return heads + key + rest


def _milliseconds(seconds: float) -> bytes:
    return min(max(1, round(seconds * 1000)), _LONGEST).to_bytes(8, "big")


def _comment(text: str) -> bytes:
    value = text.encode() + b"\0"
    return attribute(_USER_DATA, bytes((_COMMENT, len(value))) + value)
