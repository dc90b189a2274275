# A batch of decisions as every firewall wants it: one outcome a subject, ends in seconds from now.
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from ipaddress import IPv4Network, IPv6Network, collapse_addresses

from msgspec import Struct

from pyfilter.addresses import Network, parsed
from pyfilter.errors import FirewallError
from pyfilter.model import Ban, Decision

_SAFE = re.compile(r"[0-9a-f:.]+(?:/[0-9]{1,3})?", re.ASCII)


class Batch(Struct, frozen=True):
    """What to block, for how many seconds (None: for ever), and what to let through."""

    bans: dict[Network, float | None]
    releases: tuple[Network, ...]


def fold(decisions: Sequence[Decision], now: float) -> Batch:
    """Return the last word on each subject; a ban that has ended is a release.

    Raises FirewallError for text that addresses.py cannot have made: it never reaches a tool.
    """
    bans: dict[Network, float | None] = {}
    releases: dict[Network, None] = {}
    for decision in decisions:
        subject = check(decision.subject)
        if isinstance(decision, Ban) and ((until := decision.until) is None or until > now):
            bans[subject] = None if until is None else until - now
            releases.pop(subject, None)
        else:
            releases[subject] = None
            bans.pop(subject, None)
    return Batch(bans, tuple(releases))


def longest(
    bans: Mapping[Network, Ban], size: int, place: Callable[[Network], object]
) -> Mapping[Network, Ban]:
    """Return the bans that sets of a size can hold, those that end last; `place` tells the set."""
    if len(bans) <= size:
        return bans
    room: Counter[object] = Counter()
    fitting = {}
    for ban in sorted(bans.values(), key=_end, reverse=True):
        room[where := place(ban.subject)] += 1
        if room[where] <= size:
            fitting[ban.subject] = ban
    return fitting


def _end(ban: Ban) -> float:
    return math.inf if ban.until is None else ban.until


def check(subject: Network) -> Network:
    if not _SAFE.fullmatch(subject):
        raise FirewallError(f"{subject!r} is no canonical network", recoverable=False)
    return subject


def merged(networks: Iterable[Network]) -> dict[int, list[str]]:
    """Return networks by IP version, without those inside others, as interval sets want them."""
    four: list[IPv4Network] = []
    six: list[IPv6Network] = []
    for one in networks:
        made = parsed(check(one))
        if isinstance(made, IPv4Network):
            four.append(made)
        else:
            six.append(made)
    return {
        4: [str(one) for one in collapse_addresses(four)],
        6: [str(one) for one in collapse_addresses(six)],
    }
