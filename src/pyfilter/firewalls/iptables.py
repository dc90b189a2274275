# iptables: bans as members of ipsets, or as plain rules where ipset is missing.
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal, Protocol

from msgspec import Struct

from pyfilter.addresses import Network, version
from pyfilter.errors import FirewallError
from pyfilter.firewalls.batch import Batch, fold, longest
from pyfilter.interfaces import Firewall
from pyfilter.model import Ban, Blocked, Decision

if TYPE_CHECKING:
    from pyfilter.firewalls.chains import Place
    from pyfilter.firewalls.watch import Watch

_TRANSACTIONS = 8  # at most, of one of our changes


class Iptables(Struct, frozen=True, tag="iptables", tag_field="type", forbid_unknown_fields=True):
    """Settings of the iptables firewall."""

    action: Literal["drop", "reject"] = "drop"
    size: int = 1_000_000  # members an ipset may hold
    ipset: bool = True  # use it where it is there

    def open(self) -> Firewall:
        """Choose between ipset and plain rules; raises FirewallError where iptables is missing."""
        from pyfilter.firewalls import chains, ipset, rules  # noqa: PLC0415 - subprocess, on use

        here = chains.place(self.action)
        there = chains.place("reject" if self.action == "drop" else "drop")
        families = [family for family in (4, 6) if chains.usable(here, family)]
        members: Members = rules.Rules(here, families)
        if self.ipset and ipset.usable():
            members = ipset.Sets(here, self.size, families)
        return IptablesFirewall(here, there, members, families, chains.watch(here))


class Members(Protocol):
    """How single bans are kept: as members of sets or as rules."""

    size: int | None  # members that a set may hold

    def prepare(self, family: int) -> None: ...
    def rules(self, family: int) -> list[str]: ...
    def apply(self, batch: Batch) -> None: ...
    def protect(self, networks: Iterable[Network]) -> None: ...
    def blocked(self) -> list[Blocked]: ...
    def seal(self) -> str: ...
    def count(self) -> int | None: ...
    def remove(self, family: int) -> None: ...


class IptablesFirewall:
    """Keeps bans behind a chain of our own that is jumped to before all others.

    Without ipset the kernel ends no ban: `blocked` then knows no remaining time. ipset ends a ban
    after 2147483 seconds at the latest: longer ones are to be set anew before.
    """

    name = "iptables"

    def __init__(
        self,
        here: "Place",
        elsewhere: "Place",
        members: Members,
        families: Sequence[int],
        watch: "Watch | None",
    ) -> None:
        self._here = here
        self._elsewhere = elsewhere  # where an earlier run with another action may have been
        self._members = members
        self._families = families
        self._watch = watch  # None: the kernel has no nf_tables, so only the sweep looks
        self._seal = ""

    @contextmanager
    def _ours(self) -> Iterator[None]:
        before = self._watch.generation() if self._watch else 0
        yield
        if self._watch:
            self._watch.made(before, _TRANSACTIONS)

    def open(self) -> None:
        generation = self._watch.generation() if self._watch else 0
        if not self._seal or self._seal != self._sealed():
            self._mend()
            generation = self._watch.generation() if self._watch else 0
        if self._watch:
            self._watch.trust(generation)

    def _mend(self) -> None:
        for family in self._families:
            self._members.prepare(family)
            self._here.install(family, self._members.rules(family))
            self._elsewhere.remove(family)
        self._seal = self._sealed()

    def apply(self, decisions: Sequence[Decision], now: float) -> None:
        batch = fold(decisions, now)
        if any(subject.endswith("/0") for subject in batch.bans):
            raise FirewallError("iptables bans no network of length 0", recoverable=False)
        if batch.bans or batch.releases:
            with self._ours():
                self._members.apply(batch)

    def fitting(self, bans: Mapping[Network, Ban]) -> Mapping[Network, Ban]:
        return longest(bans, self._members.size, version) if self._members.size else bans

    def protect(self, networks: Iterable[Network]) -> None:
        self._members.protect(networks)
        with self._ours():
            for family in self._families:
                self._here.install(family, self._members.rules(family))
        self._seal = self._sealed()

    def blocked(self) -> dict[Network, Blocked]:
        return {one.subject: one for one in self._members.blocked()}

    def intact(self, expected: int) -> bool:
        return self._sealed() == self._seal and self._members.count() == expected

    def _sealed(self) -> str:
        return "\n".join([*map(self._here.seal, self._families), self._members.seal()])

    def bell(self) -> int | None:
        """Return a descriptor that turns readable when rules change; ipset tells of nothing."""
        return self._watch.bell() if self._watch else None

    def rung(self) -> bool:
        return self._watch.rung() if self._watch else False

    def close(self) -> None:
        if self._watch:
            self._watch.close()

    def remove(self) -> None:
        for family in self._families:
            self._here.remove(family)
            self._elsewhere.remove(family)
            self._members.remove(family)
