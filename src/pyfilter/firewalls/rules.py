# Bans of the iptables firewall without ipset: a rule for each, all in one chain of their own.
# The kernel ends none of them by itself, and each costs every packet a comparison: ipset is better.
import re
from collections.abc import Iterable, Sequence

from pyfilter.addresses import Network, version
from pyfilter.errors import FirewallError
from pyfilter.firewalls.batch import Batch, merged
from pyfilter.firewalls.chains import BANNED, Place
from pyfilter.model import Blocked

_BAN = re.compile(rf"^\[(\d+):\d+\] -A {BANNED} -s (\S+) ", re.MULTILINE)
_SIX = 6  # ip6tables 1.8.9 deletes the first rule of equal address, whatever its prefix length
_MANY = 50  # releases; each searches the whole chain, so more of them write it anew


class Rules:
    """Bans as rules; whoever made them must release them."""

    def __init__(self, place: Place, families: Sequence[int]) -> None:
        self._place = place
        self._families = families
        self.size: int | None = None  # as many as one likes
        self._held: dict[int, set[Network]] = {}
        self._allowed: dict[int, list[str]] = {4: [], 6: []}

    def prepare(self, family: int) -> None:
        """There is nothing to make: the chains are made with the table's others."""
        self._held.pop(family, None)

    def rules(self, family: int) -> list[str]:
        """Return the rules of our main chain."""
        return [*(f"-s {one} -j RETURN" for one in self._allowed[family]), f"-j {BANNED}"]

    def apply(self, batch: Batch) -> None:
        for family in self._families:
            try:
                self._change(family, batch)
            except FirewallError:
                self._held.pop(family, None)  # somebody else changed the chain: look, try again
                self._change(family, batch)

    def _change(self, family: int, batch: Batch) -> None:
        held = self._held.get(family)
        if held is None:
            held = {one.subject for one in self._listed(family)}
        bans = [one for one in batch.bans if version(one) == family and one not in held]
        gone = [one for one in batch.releases if one in held]
        after = held.difference(gone).union(bans)
        if gone and (family == _SIX or len(gone) > _MANY):
            lines = self._anew(family, after)
        else:
            lines = [*self._lines("-D", gone), *self._lines("-A", bans)]
        if lines:
            self._place.restore(family, lines)
        self._held[family] = after

    def _anew(self, family: int, subjects: Iterable[Network]) -> list[str]:
        """Return what replaces the whole chain in one transaction, counts included."""
        packets = {one.subject: one.packets for one in self._listed(family)}
        verdict = self._place.verdict
        rules = [f"-A {BANNED} -s {one} -c {packets.get(one, 0)} 0 {verdict}" for one in subjects]
        return [f":{BANNED} - [0:0]", *rules]

    def _lines(self, verb: str, subjects: Iterable[Network]) -> list[str]:
        return [f"{verb} {BANNED} -s {one} {self._place.verdict}" for one in subjects]

    def protect(self, networks: Iterable[Network]) -> None:
        """Remember what is let through; the chain is filled anew by whoever asks."""
        self._allowed = merged(networks)

    def seal(self) -> str:
        return ""  # the chains say it all

    def blocked(self) -> list[Blocked]:
        return [one for family in self._families for one in self._listed(family)]

    def _listed(self, family: int) -> list[Blocked]:
        host = "/32" if family == 4 else "/128"
        found = _BAN.findall(self._place.save(family))
        return [
            Blocked(Network(text.removesuffix(host)), None, int(packets)) for packets, text in found
        ]

    def count(self) -> int | None:
        return len(self.blocked())

    def remove(self, family: int) -> None:
        self._held.pop(family, None)  # the rules went with the chains
