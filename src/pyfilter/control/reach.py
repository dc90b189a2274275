# Which networks hold which, fast enough for a hundred thousand bans at once.
import socket
from collections.abc import Iterable

from pyfilter.addresses import Address, Network
from pyfilter.addresses import covering as network_around


def _span(subject: Network) -> tuple[int, int, int]:
    """Return (bits of the family, value, prefix length)."""
    host, _, length = subject.partition("/")
    family, bits = (socket.AF_INET6, 128) if ":" in host else (socket.AF_INET, 32)
    value = int.from_bytes(socket.inet_pton(family, host))
    return bits, value, int(length) if length else bits


def _parts(subject: Network) -> tuple[str, int]:
    host, _, length = subject.partition("/")
    return host, int(length) if length else 128 if ":" in host else 32


class Reach:
    """Networks, asked for those that hold a subject and those that lie in it."""

    def __init__(self, networks: Iterable[Network]) -> None:
        self._networks = dict.fromkeys(networks)
        self._lengths = {(":" in network, _parts(network)[1]) for network in self._networks}

    def covering(self, subject: Network) -> list[Network]:
        """Return the networks that hold a subject, itself included, the widest first."""
        host, longest = _parts(subject)
        around = (
            network_around(Address(host), length)
            for v6, length in sorted(self._lengths)
            if v6 == (":" in host) and length <= longest
        )
        return [network for network in around if network in self._networks]

    def within(self, subject: Network) -> list[Network]:
        """Return the networks that lie in a subject, itself included."""
        if "/" not in subject:
            return [subject] if subject in self._networks else []
        bits, value, length = _span(subject)
        found = []
        for network in self._networks:
            its_bits, its_value, its_length = _span(network)
            same = its_bits == bits and (value ^ its_value) >> (bits - length) == 0
            if same and its_length >= length:
                found.append(network)
        return found

    def drop(self, networks: Iterable[Network]) -> None:
        """Forget some of the networks."""
        for network in networks:
            self._networks.pop(network, None)
