# Every protected network and why it is; a look-up costs a few dict accesses.
from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network, collapse_addresses

from msgspec import Struct

from pyfilter.addresses import Address, Network, is_host, network, number, parsed, version
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


class Shield(Struct, frozen=True):
    """One protected network and why it is."""

    network: Network
    why: str
    firm: bool = True  # not even the operator's --force bans it


class _Index:
    """Shields by prefix length, so that a host is found in a few dict look-ups."""

    def __init__(self, shields: Iterable[Shield]) -> None:
        self.by_length: dict[tuple[int, int], dict[int, Shield]] = {}  # (version, host bits)
        for shield in shields:
            net = parsed(shield.network)
            rest = net.max_prefixlen - net.prefixlen
            found = self.by_length.setdefault((net.version, rest), {})
            found.setdefault(int(net.network_address) >> rest, shield)

    def covering(self, host: Address) -> Shield | None:
        family, value = version(host), number(host)
        for (of, rest), found in self.by_length.items():
            if of == family and (shield := found.get(value >> rest)):
                return shield
        return None

    def overlapping(self, subject: Network) -> Shield | None:
        wanted = parsed(subject)
        for (of, _), found in self.by_length.items():
            if of != wanted.version:
                continue
            for shield in found.values():
                if wanted.overlaps(parsed(shield.network)):
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
