# Elements of our sets as the kernel takes them: packed here, because nearly every transaction is
# a ban or a release, and nft would read the whole outline of the ruleset before each.
import re
import socket
import struct
from collections.abc import Mapping, Sequence
from functools import cache

from pyfilter.addresses import Network
from pyfilter.errors import FirewallError
from pyfilter.firewalls.netlink import Change
from pyfilter.firewalls.ruleset import NAME, Prefix, prefix, set_name
from pyfilter.firewalls.wire import (
    CREATE,
    DELSETELEM,
    DESTROYSETELEM,
    EXCLUSIVE,
    NEWSETELEM,
    attribute,
)
from pyfilter.model import Ban, Decision

# include/uapi/linux/netfilter/nf_tables.h
_LIST_TABLE, _LIST_SET, _LIST_ELEMENTS = 1, 2, 3
_NESTED = 0x8000
_ELEMENT, _KEY, _VALUE = _NESTED | 1, _NESTED | 1, 1
_USER_DATA = 6
_COMMENT = 0  # within user data, by libnftnl: kind, length, text
_HEADS = struct.Struct("=HHHHHH")  # length and kind of the element, of its key, of the key's value
_HOSTS = {size: struct.Struct(f">12s{size}s4sQ") for size in (4, 16)}
_TIMEOUT = struct.pack("=HH", 12, 4)
_LONGEST = 36500 * 86_400_000  # milliseconds: a hundred years
_MOST = 700  # elements a message: an attribute holds 64 KB, an element at most 92 bytes

_SUFFIX = re.compile("/(0|[1-9][0-9]{0,2})", re.ASCII)
_BITS = {4: 32, 6: 128}

Ends = Mapping[Network, float | None]  # seconds from now; None: never; none left: let through
Places = Mapping[Prefix, Ends]


def placed(decisions: Sequence[Decision], now: float) -> Places:
    """Return the last word on each subject, by the set that it belongs to.

    Raises FirewallError for text that addresses.py cannot have made, there or when it is packed.
    """
    found: dict[tuple[bool, str], dict[Network, float | None]] = {}
    for decision in decisions:
        subject, end = decision.subject, None
        if not isinstance(decision, Ban):
            end = 0.0
        elif decision.until is not None:
            end = decision.until - now
        slash = subject.find("/")
        where = ":" in subject, subject[slash:] if slash >= 0 else ""
        if where in found:
            found[where][subject] = end
        else:
            found[where] = {subject: end}
    return {_prefix(next(iter(ends)), suffix): ends for (_, suffix), ends in found.items()}


def _prefix(subject: Network, suffix: str) -> Prefix:
    if not suffix:
        return prefix(subject)
    if _SUFFIX.fullmatch(suffix):
        family, length = prefix(subject)
        if length < _BITS[family]:
            return family, length
    raise _no_network(subject)


def straight(places: Places) -> list[Change]:
    """Return changes for what is new and what is there, as it nearly always is."""
    changes = []
    for where, ends in places.items():
        bans = {one: end for one, end in ends.items() if end is None or end > 0}
        changes += _changes(NEWSETELEM, CREATE | EXCLUSIVE, where, _ending(bans))
        changes += _changes(DELSETELEM, 0, where, _named([one for one in ends if one not in bans]))
    return changes


def either_way(places: Places, *, destroying: bool) -> list[Change]:
    """Return changes that do not care what is there.

    Adding what is there is no error, but leaves its old timeout on older kernels; so it goes and
    comes back in the same transaction. A kernel that cannot destroy what may be absent is made to
    delete what was just added.
    """
    changes = []
    for where, ends in places.items():
        bans = {one: end for one, end in ends.items() if end is None or end > 0}
        all_of_them = _named(list(ends))
        if destroying:
            changes += _changes(DESTROYSETELEM, 0, where, all_of_them)
        else:
            changes += _changes(NEWSETELEM, CREATE, where, all_of_them)
            changes += _changes(DELSETELEM, 0, where, all_of_them)
        changes += _changes(NEWSETELEM, CREATE, where, _ending(bans))
    return changes


def _changes(kind: int, flags: int, where: Prefix, elements: Sequence[bytes]) -> list[Change]:
    place = _place(where)
    lists = (elements[start : start + _MOST] for start in range(0, len(elements), _MOST))
    return [
        Change(kind, flags, place + attribute(_NESTED | _LIST_ELEMENTS, b"".join(some)))
        for some in lists
    ]


@cache
def _place(where: Prefix) -> bytes:
    return attribute(_LIST_TABLE, NAME) + attribute(_LIST_SET, set_name(where))


def _named(subjects: Sequence[Network]) -> list[bytes]:
    """Return elements that are no more than their keys."""
    return [_element(key) for key in _keys(subjects)]


def _ending(bans: Ends) -> list[bytes]:
    """Return elements with their ends; a network is shown as such to whoever lists the set."""
    subjects = list(bans)
    if not subjects:
        return []
    if "/" not in subjects[0]:
        return _hosts(_keys(subjects), list(bans.values()))
    rests = [_end(end) + _comment(one) for one, end in bans.items()]
    return list(map(_element, _keys(subjects), rests))


def _hosts(keys: Sequence[bytes], ends: Sequence[float | None]) -> list[bytes]:
    size = len(keys[0])
    heads, pack = _heads(size, len(_TIMEOUT) + 8), _HOSTS[size].pack
    return [
        _element(key) if end is None else pack(heads, key, _TIMEOUT, _milliseconds(end))
        for key, end in zip(keys, ends, strict=True)
    ]


def _keys(subjects: Sequence[Network]) -> list[bytes]:
    family = socket.AF_INET6 if any(":" in one for one in subjects[:1]) else socket.AF_INET
    return [_key(family, one) for one in subjects]


def _key(family: int, subject: Network) -> bytes:
    try:
        return socket.inet_pton(family, subject.partition("/")[0])
    except (OSError, ValueError):
        raise _no_network(subject) from None


def _no_network(subject: Network) -> FirewallError:
    return FirewallError(f"{subject!r} is no canonical network", recoverable=False)


def _element(key: bytes, rest: bytes = b"") -> bytes:
    return _heads(len(key), len(rest)) + key + rest


def _heads(size: int, rest: int) -> bytes:
    return _HEADS.pack(12 + size + rest, _ELEMENT, 8 + size, _KEY, 4 + size, _VALUE)


def _end(seconds: float | None) -> bytes:
    return b"" if seconds is None else _TIMEOUT + _milliseconds(seconds).to_bytes(8, "big")


def _milliseconds(seconds: float) -> int:
    whole = round(seconds * 1000)
    return whole if 0 < whole < _LONGEST else min(max(1, whole), _LONGEST)


def _comment(text: str) -> bytes:
    value = text.encode() + b"\0"
    return attribute(_USER_DATA, bytes((_COMMENT, len(value))) + value)
