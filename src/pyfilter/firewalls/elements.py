# Elements of our sets as the kernel takes them: packed here, because nearly every transaction is
# a ban or a release, and nft would read the whole outline of the ruleset before each.
import socket
import struct
from collections.abc import Iterable, Mapping, Sequence

from pyfilter.addresses import Network
from pyfilter.errors import FirewallError
from pyfilter.firewalls.batch import Batch
from pyfilter.firewalls.netlink import Change
from pyfilter.firewalls.ruleset import NAME, Prefix, prefix, set_name
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
    return {
        where: [_element(key) for key in _keys(those)] for where, those in _placed(subjects).items()
    }


def _ending(bans: Mapping[Network, float | None]) -> Elements:
    """Return elements with their ends; a network is shown as such to whoever lists the set."""
    found = {}
    for where, those in _placed(bans).items():
        keys, ends = _keys(those), [bans[one] for one in those]
        if "/" in those[0]:
            notes = map(_comment, those)
            rests = [_end(end) + note for end, note in zip(ends, notes, strict=True)]
            found[where] = list(map(_element, keys, rests))
        else:
            found[where] = _hosts(keys, ends)
    return found


def _hosts(keys: Sequence[bytes], ends: Sequence[float | None]) -> list[bytes]:
    size = len(keys[0])
    heads, pack = _heads(size, len(_TIMEOUT) + 8), struct.Struct(f">12s{size}s4sQ").pack
    return [
        _element(key) if end is None else pack(heads, key, _TIMEOUT, _milliseconds(end))
        for key, end in zip(keys, ends, strict=True)
    ]


def _placed(subjects: Iterable[Network]) -> Mapping[Prefix, Sequence[Network]]:
    """Return subjects by the set that they belong to."""
    found: dict[tuple[bool, str], list[Network]] = {}
    for subject in subjects:
        slash = subject.find("/")
        place = ":" in subject, subject[slash:] if slash >= 0 else ""
        if place in found:
            found[place].append(subject)
        else:
            found[place] = [subject]
    return {prefix(those[0]): those for those in found.values()}


def _keys(subjects: Sequence[Network]) -> list[bytes]:
    family = socket.AF_INET6 if ":" in subjects[0] else socket.AF_INET
    return [_key(family, one) for one in subjects]


def _key(family: int, subject: Network) -> bytes:
    try:
        return socket.inet_pton(family, subject.partition("/")[0])
    except OSError:
        raise FirewallError(f"{subject!r} is no canonical network", recoverable=False) from None


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
