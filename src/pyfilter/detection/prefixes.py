# Which subject an address is counted under: IPv4 by itself, IPv6 by its network.
from functools import lru_cache

from pyfilter.addresses import Address, Network, covering

SITE = 48  # never ban a shorter IPv6 prefix: it would hit other customers
_GROUPS = 8
_GROUP = 16
_KEEP = 4096  # networks remembered: an attempt's lines come together


def subject(address: Address, prefix: int) -> Network:
    """Return the subject of an address; `prefix` is the length for IPv6."""
    return Network(address) if ":" not in address else _network(address, prefix)


@lru_cache(_KEEP)
def _network(address: Address, prefix: int) -> Network:
    if prefix % _GROUP or not 0 < prefix < _GROUPS * _GROUP:
        return covering(address, prefix)
    wanted = prefix // _GROUP
    head, compressed, tail = address.partition("::")
    groups = head.split(":") if head else []
    if compressed and len(groups) < wanted:
        zeros = _GROUPS - len(groups) - (tail.count(":") + 1 if tail else 0)
        groups += ["0"] * zeros + tail.split(":")
    del groups[wanted:]
    return _text(groups, prefix, address)


def _text(groups: list[str], prefix: int, address: Address) -> Network:
    if len(groups) > _GROUPS - 2 or ("0" in groups and "." in address):
        return covering(address, prefix)
    while groups and groups[-1] == "0":
        groups.pop()
    if "0" in groups and prefix > _GROUPS * _GROUP // 2:  # another run of zeros may be the longer
        return covering(address, prefix)
    return Network(f"{':'.join(groups)}::/{prefix}")


def site(network: Network) -> Network:
    """Return the /48 around an IPv6 address or a longer network."""
    return subject(Address(network.partition("/")[0]), SITE)
