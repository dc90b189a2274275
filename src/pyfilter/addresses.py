# Parse, don't validate: the only place that makes canonical Address and Network text.
import socket
from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_network
from itertools import repeat
from typing import NewType

from pyfilter.errors import AddressError

Address = NewType("Address", str)
Network = NewType("Network", str)

_MAPPED = "::ffff:"
_HOST_BITS = {  # by the text of a prefix
    socket.AF_INET: {str(length): 32 - length for length in range(32)},
    socket.AF_INET6: {str(length): 128 - length for length in range(128)},
}


def address(text: str) -> Address:
    """Return the canonical text of one IP address (RFC 5952 for IPv6).

    An IPv4-mapped IPv6 address is the IPv4 address. Leading zeros, names, zones, ports and anything
    else that is not exactly one address raise AddressError.
    """
    try:
        if ":" in text:
            canonical = socket.inet_ntop(socket.AF_INET6, socket.inet_pton(socket.AF_INET6, text))
            if canonical.startswith(_MAPPED) and "." in canonical:
                return Address(canonical[len(_MAPPED) :])
            return Address(canonical)
        return Address(socket.inet_ntop(socket.AF_INET, socket.inet_pton(socket.AF_INET, text)))
    except (OSError, ValueError):
        raise AddressError(f"{text!r} is no IP address") from None


def network(text: str) -> Network:
    """Return the canonical text of a network; a single host (/32, /128) has no suffix.

    Host bits are cleared; IPv4-mapped networks of /96 and longer fold to IPv4.
    """
    host, slash, prefix = text.partition("/")
    if not slash:
        return Network(address(text))
    if not (prefix.isascii() and prefix.isdigit()):
        raise AddressError(f"{text!r} is no IP network")
    length = int(prefix)
    base = address(host)
    if ":" in host and ":" not in base:
        length -= 96
    widest = 128 if ":" in base else 32
    if not 0 <= length <= widest:
        raise AddressError(f"{text!r}: the prefix must be between 0 and {widest}")
    return covering(base, length)


def is_canonical(text: str) -> bool:
    """Say whether `network` returns a text as it is, in a fraction of the time."""
    host, slash, prefix = text.partition("/")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        packed = socket.inet_pton(family, host)
    except (OSError, ValueError):
        return False
    if socket.inet_ntop(family, packed) != host or (host.startswith(_MAPPED) and "." in host):
        return False
    if not slash:
        return True
    rest = _HOST_BITS[family].get(prefix, 0)
    return rest > 0 and int.from_bytes(packed, "big") & ((1 << rest) - 1) == 0


@lru_cache(maxsize=65536)
def covering(host: Address, length: int) -> Network:
    """Return the network of `length` bits around a host."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    packed = socket.inet_pton(family, host)
    rest = 8 * len(packed) - length
    base = (int.from_bytes(packed, "big") >> rest << rest).to_bytes(len(packed), "big")
    text = address(socket.inet_ntop(family, base))
    return Network(f"{text}/{length}" if rest else text)


def number(host: Address) -> int:
    """Return an address as a number, for arithmetic in hot paths."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return int.from_bytes(socket.inet_pton(family, host), "big")


def ipv4_numbers(texts: Iterable[str]) -> list[int]:
    """Return IPv4 addresses as numbers, many of them without a step of Python for each.

    Raises AddressError unless all are canonical: inet_pton takes no other text of an IPv4 address.
    """
    keys = map(socket.inet_pton, repeat(socket.AF_INET), texts)
    try:
        return list(map(int.from_bytes, keys))
    except (OSError, ValueError):
        raise AddressError("one of many texts is no IPv4 address") from None


def parsed(subject: Network | Address) -> IPv4Network | IPv6Network:
    """Return the `ipaddress` object of a canonical text, for arithmetic outside hot paths."""
    return ip_network(subject)


def version(subject: Network | Address) -> int:
    """Return 4 or 6."""
    return 6 if ":" in subject else 4


def is_host(subject: Network | Address) -> bool:
    return "/" not in subject
