# The text of our nftables table: a hash set for every prefix length, so that an element costs the
# same among a hundred thousand others, and networks inside one another do not get in each other's way.
import re
import socket
from collections.abc import Iterable, Mapping

from pyfilter.addresses import Network, is_host, version
from pyfilter.firewalls.batch import merged

NAME = "pyfilter"
TABLE = f"inet {NAME}"
ALLOWED = ("allowed4", "allowed6")
_BITS = {4: 32, 6: 128}
_FAMILY = {4: socket.AF_INET, 6: socket.AF_INET6}
_PROTOCOL = {4: "ip", 6: "ip6"}
_REFUSE = [
    f"add rule {TABLE} refuse meta l4proto tcp reject with tcp reset",
    f"add rule {TABLE} refuse reject with icmpx admin-prohibited",
]
_LONGEST_DAYS = 36500  # a hundred years; nft takes at most eight digits a unit
_SET = re.compile(r"banned(?P<version>[46])(?:_(?P<length>[0-9]{1,3}))?")

Prefix = tuple[int, int]  # IP version and length in bits
USUAL: frozenset[Prefix] = frozenset({(4, 32), (4, 24), (6, 128), (6, 64)})


def prefix(subject: Network) -> Prefix:
    """Return where a subject belongs."""
    family = version(subject)
    return family, _BITS[family] if is_host(subject) else int(subject.partition("/")[2])


def set_name(where: Prefix) -> str:
    family, length = where
    return f"banned{family}" if length == _BITS[family] else f"banned{family}_{length}"


def set_prefix(name: str) -> Prefix | None:
    """Return what a set of ours holds, None for any other set."""
    match = _SET.fullmatch(name)
    if match is None:
        return None
    family = int(match["version"])
    return family, int(match["length"] or _BITS[family])


def subject(where: Prefix, key: bytes) -> Network:
    """Return the canonical text of an element's key."""
    family, length = where
    text = socket.inet_ntop(_FAMILY[family], key)
    return Network(text if length == _BITS[family] else f"{text}/{length}")


def timeout(seconds: float | None) -> str:
    """Return the part of an element that ends it; nothing where it never ends."""
    if seconds is None:
        return ""
    whole = max(1, round(seconds * 1000))
    days, rest = divmod(whole, 86_400_000)
    if days >= _LONGEST_DAYS:
        days, rest = _LONGEST_DAYS, 0
    return f" timeout {days}d{rest // 1000}s{rest % 1000}ms"


def frame(prefixes: Iterable[Prefix], action: str, size: int, allowed: Iterable[Network]) -> str:
    """Return the commands that make the table or bring it back into shape, elements untouched."""
    wheres = sorted(prefixes, key=lambda where: (where[0], -where[1]))
    verdict = "drop" if action == "drop" else "goto refuse"
    chain = f"{TABLE} prerouting"
    lines = [f"add table {TABLE}", f"add chain {TABLE} refuse", f"flush chain {TABLE} refuse"]
    for family, name in zip((4, 6), ALLOWED, strict=True):
        lines.append(f"add set {TABLE} {name} {{ type ipv{family}_addr; flags interval; }}")
    lines += [
        f"add set {TABLE} {set_name(where)} "
        f"{{ type ipv{where[0]}_addr; size {size}; flags timeout; counter; }}"
        for where in wheres
    ]
    # raw: before connection tracking and DNAT, so established connections and containers too
    lines.append(
        f"add chain {chain} {{ type filter hook prerouting priority raw; policy accept; }}"
    )
    lines.append(f"flush chain {chain}")
    for family, name in zip((4, 6), ALLOWED, strict=True):
        lines.append(f"add rule {chain} {_PROTOCOL[family]} saddr @{name} accept")
    lines += [f"add rule {chain} {_source(where)} @{set_name(where)} {verdict}" for where in wheres]
    lines += _REFUSE if action == "reject" else [f"delete chain {TABLE} refuse"]
    return "\n".join([*lines, allow(allowed)])


def _source(where: Prefix) -> str:
    family, length = where
    if length == _BITS[family]:
        return f"{_PROTOCOL[family]} saddr"
    bits = _BITS[family]
    mask = (((1 << length) - 1) << (bits - length)).to_bytes(bits // 8, "big")
    return f"{_PROTOCOL[family]} saddr & {socket.inet_ntop(_FAMILY[family], mask)}"


def allow(networks: Iterable[Network]) -> str:
    """Return the commands that replace what is let through before any ban."""
    wanted = merged(networks)
    lines = []
    for family, name in zip((4, 6), ALLOWED, strict=True):
        lines.append(f"flush set {TABLE} {name}")
        if wanted[family]:
            lines.append(f"add element {TABLE} {name} {{ {', '.join(wanted[family])} }}")
    return "\n".join(lines)


def elements(ends: Mapping[Network, float | None]) -> list[str]:
    """Return one command a set that adds elements with their ends."""
    grouped: dict[Prefix, list[str]] = {}
    for one, seconds in ends.items():
        base, slash, _ = one.partition("/")
        base += timeout(seconds) + (f' comment "{one}"' if slash else "")
        grouped.setdefault(prefix(one), []).append(base)
    return [
        f"add element {TABLE} {set_name(where)} {{ {', '.join(texts)} }}"
        for where, texts in grouped.items()
    ]
