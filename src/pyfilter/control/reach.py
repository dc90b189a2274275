# Which networks hold which, fast enough for a hundred thousand bans at once.
import socket
from collections.abc import Iterable

from pyfilter.addresses import Network


def _span(subject: Network) -> tuple[int, int, int]:
    """Return (bits of the family, value, prefix length)."""
    host, _, length = subject.partition("/")
    family, bits = (socket.AF_INET6, 128) if ":" in host else (socket.AF_INET, 32)
    value = int.from_bytes(socket.inet_pton(family, host))
    return bits, value, int(length) if length else bits


def covering(subject: Network, networks: Iterable[Network]) -> list[Network]:
    """Return those of the networks that hold a subject, itself included."""
    bits, value, length = _span(subject)
    found = []
    for network in networks:
        if network == subject:
            found.append(network)
        elif "/" in network:  # a host holds nothing but itself
            its_bits, its_value, its_length = _span(network)
            same = its_bits == bits and (value ^ its_value) >> (bits - its_length) == 0
            if same and its_length <= length:
                found.append(network)
    return found


def within(subject: Network, networks: Iterable[Network]) -> list[Network]:
    """Return those of the networks that lie in a subject, itself included."""
    if "/" not in subject:
        return [network for network in networks if network == subject]
    bits, value, length = _span(subject)
    found = []
    for network in networks:
        its_bits, its_value, its_length = _span(network)
        same = its_bits == bits and (value ^ its_value) >> (bits - length) == 0
        if same and its_length >= length:
            found.append(network)
    return found
