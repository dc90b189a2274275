# Every protected network and why it is; a look-up costs a few dict accesses.
from collections.abc import Iterable, Sequence
from ipaddress import IPv4Network, IPv6Network, collapse_addresses

from msgspec import Struct

from pyfilter.addresses import (
    Address,
    Network,
    ipv4_numbers,
    is_host,
    network,
    number,
    parsed,
    version,
)
from pyfilter.errors import AddressError
from pyfilter.model import Allowance

# RFC 1122, 3927, 5771, 1112 (with broadcast), 4291: no attacker can answer from these.
NEVER = tuple(
    Network(text)
    for text in (
        "0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "240.0.0.0/4",
        "::", "::1", "fe80::/10", "ff00::/8",
    )
)  # fmt: skip


_BITS = {4: 32, 6: 128}


class Shield(Struct, frozen=True):
    """One protected network and why it is."""

    network: Network
    why: str
    firm: bool = True  # not even the operator's --force bans it


class _Index:
    """Shields by prefix length, so that a host is found in a few dict look-ups."""

    def __init__(self, shields: Iterable[Shield]) -> None:
        self.by_length: dict[int, dict[int, dict[int, Shield]]] = {4: {}, 6: {}}  # host bits
        for shield in shields:
            net = parsed(shield.network)
            rest = net.max_prefixlen - net.prefixlen
            found = self.by_length[net.version].setdefault(rest, {})
            found.setdefault(int(net.network_address) >> rest, shield)

    def covering(self, host: Address) -> Shield | None:
        value = number(host)
        for rest, found in self.by_length[version(host)].items():
            if shield := found.get(value >> rest):
                return shield
        return None

    def among(self, ipv4: Sequence[Network]) -> set[Network]:
        """Return the IPv4 hosts, out of many, that a shield covers."""
        values, found = ipv4_numbers(ipv4), set[Network]()
        for rest, shields in self.by_length[4].items():
            both = zip(ipv4, values, strict=True)
            found.update([host for host, value in both if value >> rest in shields])
        return found

    def overlapping(self, subject: Network) -> Shield | None:
        base, _, length = subject.partition("/")
        family, value = version(subject), number(Address(base))
        own = _BITS[family] - int(length)
        for rest, found in self.by_length[family].items():
            if rest >= own:
                if shield := found.get(value >> rest):
                    return shield
                continue
            for start, shield in found.items():  # shields that a wider subject may hold
                if start >> (own - rest) == value >> own:
                    return shield
        return None


class Protection:
    """Knows every protected network: configured, allowed at run time, our own, live sessions."""

    def __init__(self, entries: Iterable[str] = ()) -> None:
        self.configured: tuple[str, ...] = tuple(entries)
        self.allowances: dict[str, Allowance] = {}
        self.resolved: dict[str, tuple[Network, ...]] = {}  # host name -> its addresses
        self.surroundings: tuple[Shield, ...] = ()  # own addresses, gateway, resolvers, fleet
        self.sessions: tuple[Shield, ...] = ()  # live sessions of people who logged in
        self._shields: tuple[Shield, ...] = ()
        self._index = _Index(())
        self.rebuild()

    def rebuild(self) -> None:
        """Take over what was changed in the attributes."""
        self._shields = (
            *(Shield(net, "an address that no peer can have") for net in NEVER),
            *self.surroundings,
            *self.sessions,
            *(s for entry in self.configured for s in self._of(entry, "ignoreip")),
            *(s for entry in self.allowances for s in self._of(entry, "allowlist")),
        )
        self._index = _Index(self._shields)

    def _of(self, entry: str, whence: str) -> list[Shield]:
        found = as_network(entry)
        networks = (found,) if found else self.resolved.get(entry, ())
        return [Shield(net, f"{whence} entry {entry}", firm=False) for net in networks]

    def shield(self, subject: Network) -> Shield | None:
        """Return what protects a subject, or any part of it."""
        if is_host(subject):
            return self._index.covering(Address(subject))
        return self._index.overlapping(subject)

    def shielded(self, subjects: Sequence[Network]) -> set[Network]:
        """Return those of many subjects that are protected, or a part of which is."""
        others = {one for one in subjects if ":" in one or "/" in one}
        hosts = [one for one in subjects if one not in others] if others else subjects
        return {*self._index.among(hosts), *filter(self.shield, others)}

    def networks(self) -> list[Network]:
        """Return what the firewall lets through before it drops anything."""
        return collapse({s.network for s in self._shields} - set(NEVER))

    def names(self) -> list[str]:
        """Return the host names among the entries, to be resolved in the background."""
        return [e for e in (*self.configured, *self.allowances) if as_network(e) is None]

    def expire(self, now: float) -> list[str]:
        """Drop allowances that have ended; return their entries."""
        ended = [e for e, a in self.allowances.items() if a.until is not None and a.until <= now]
        for entry in ended:
            del self.allowances[entry]
        if ended:
            self.rebuild()
        return ended


def as_network(entry: str) -> Network | None:
    """Return an entry as a network, or None when it is a host name."""
    try:
        return network(entry)
    except AddressError:
        return None


def collapse(networks: Iterable[Network]) -> list[Network]:
    """Return the fewest networks that say the same, as interval sets want them."""
    found = [parsed(one) for one in networks]
    four = collapse_addresses(one for one in found if isinstance(one, IPv4Network))
    six = collapse_addresses(one for one in found if isinstance(one, IPv6Network))
    return [network(str(one)) for one in (*four, *six)]
