# nftables: bans as elements of hash sets in a table of our own. libnftables makes the table in
# process; bans and releases go over netlink.
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Literal

from msgspec import Struct

from pyfilter.addresses import Network
from pyfilter.errors import FirewallError
from pyfilter.firewalls import elements, ruleset
from pyfilter.firewalls.batch import longest
from pyfilter.firewalls.kernel import Kernel
from pyfilter.firewalls.privilege import unprivileged
from pyfilter.firewalls.watch import Watch
from pyfilter.firewalls.wire import NFPROTO_INET
from pyfilter.interfaces import Firewall
from pyfilter.model import Ban, Blocked, Decision

if TYPE_CHECKING:
    from pyfilter.firewalls.libnftables import Libnftables


_MANY = 200  # decisions
_LISTINGS = 2


class Nftables(Struct, frozen=True, tag="nftables", tag_field="type", forbid_unknown_fields=True):
    """Settings of the nftables firewall."""

    action: Literal["drop", "reject"] = "drop"
    size: int = 1_000_000  # elements a set may hold

    def open(self) -> Firewall:
        """Load libnftables; raises FirewallError where it is missing."""
        from pyfilter.firewalls.libnftables import Libnftables  # noqa: PLC0415 - ctypes, on use

        return NftablesFirewall(self, Libnftables())


class NftablesFirewall:
    """Keeps bans in the table `inet pyfilter`, each with its end in the kernel."""

    name = "nftables"

    def __init__(self, settings: Nftables, library: "Libnftables") -> None:
        self._settings = settings
        self._library = library
        self._here = Kernel(ruleset.NAME)
        self._prefixes = set(ruleset.USUAL)
        self._allowed: tuple[Network, ...] = ()
        self._seal = b""  # what table, chains, rules and sets looked like when they were in order
        self._destroying = True  # as long as the kernel is not known to be too old for it
        self._watch = Watch(ruleset.NAME, frozenset({NFPROTO_INET}))

    def open(self) -> None:
        """Make the table or mend it in one transaction; its elements stay where they are.

        Whoever opens looks at what is blocked afterwards: from here on only changes ring.
        """
        generation = self._watch.generation()
        self._prefixes.update(filter(None, map(ruleset.set_prefix, self._here.sets())))
        if not self._seal or self._seal != self._sealed():
            generation = self._mend()
        self._watch.trust(generation)

    def _mend(self) -> int:
        if self._run(self._frame(self._prefixes)):
            self._replace()
        generation = self._watch.generation()
        self._seal = self._sealed()
        return generation

    def _replace(self) -> None:
        """Put our table in the place of one that cannot be mended, bans included, without a gap."""
        held = {subject: blocked.remaining for subject, blocked in self.blocked().items()}
        commands = [
            f"add table {ruleset.TABLE}",
            f"delete table {ruleset.TABLE}",
            self._frame(self._prefixes),
        ]
        self._commit([*commands, *ruleset.elements(held)])

    def _frame(self, prefixes: Iterable[ruleset.Prefix]) -> str:
        settings = self._settings
        return ruleset.frame(prefixes, settings.action, settings.size, self._allowed)

    def apply(self, decisions: Sequence[Decision], now: float) -> None:
        places = elements.placed(decisions, now)
        if not places:
            return
        known = self._prefixes.union(places)
        if known != self._prefixes:
            self._commit([self._frame(known)])
            self._prefixes = known
            self._seal = self._sealed()
        # a refused transaction costs the kernel some 10 ms, so only many risk it to be quicker
        if len(decisions) < _MANY or self._watch.commit(elements.straight(places)):
            self._insist(places)

    def _insist(self, places: elements.Places) -> None:
        """Take bans and releases over whatever is there, after mending a table that is gone."""
        error = self._either_way(places)
        if self._destroying and "Invalid argument" in error:  # the kernel is older than that
            self._destroying = False
            error = self._either_way(places)
        if error and not self._here.sets():  # the bans that went with it are for others to notice
            self._mend()
            error = self._either_way(places)
        if error:
            raise _refusal(error, self._settings.size)

    def _either_way(self, places: elements.Places) -> str:
        return self._watch.commit(elements.either_way(places, destroying=self._destroying))

    def fitting(self, bans: Mapping[Network, Ban]) -> Mapping[Network, Ban]:
        return longest(bans, self._settings.size, ruleset.prefix)

    def protect(self, networks: Iterable[Network]) -> None:
        allowed = tuple(networks)
        if allowed == self._allowed and self._seal:
            return
        commands = ruleset.allow(allowed)
        if self._here.sets():
            self._commit([commands])
            self._seal = self._sealed()
        self._allowed = allowed

    def blocked(self) -> dict[Network, Blocked]:
        kernel = Kernel(ruleset.NAME)  # its own: a long listing is in nobody's way
        try:
            found: dict[Network, Blocked] = {}
            for name, count in kernel.sets().items():
                if where := ruleset.set_prefix(name):
                    found.update(_listed(kernel, name, where, count or 0))
            return found
        finally:
            kernel.close()

    def intact(self, expected: int) -> bool:
        generation = self._watch.generation()
        if not self._seal or self._sealed() != self._seal:
            return False
        if self._watch.untouched():
            return True
        if self._count() != expected:
            return False
        self._watch.trust(generation)
        return True

    def _count(self) -> int:
        counts = self._here.sets()
        return sum(
            self._here.count(name) if count is None else count
            for name, count in counts.items()
            if ruleset.set_prefix(name)
        )

    def bell(self) -> int | None:
        return self._watch.bell()

    def rung(self) -> bool:
        return self._watch.rung()

    def close(self) -> None:
        self._here.close()
        self._library.close()
        self._watch.close()

    def remove(self) -> None:
        self._commit([f"add table {ruleset.TABLE}", f"delete table {ruleset.TABLE}"])
        self._seal = b""

    def _sealed(self) -> bytes:
        return self._here.seal(ruleset.ALLOWED)

    def _run(self, commands: str) -> str:
        """Run one transaction; return the error text, empty on success."""
        before = self._watch.generation()
        error = self._library.run(commands)
        if not error:
            self._watch.made(before)
        return error

    def _commit(self, commands: Iterable[str]) -> None:
        if error := self._run("\n".join(commands)):
            raise _refusal(error, self._settings.size)


def _listed(kernel: Kernel, name: str, where: ruleset.Prefix, count: int) -> dict[Network, Blocked]:
    """Return what is in a set; a listing while the kernel resizes its table lacks some of it."""
    found: dict[Network, Blocked] = {}
    for _ in range(_LISTINGS):
        for element in kernel.elements(name):
            subject = ruleset.subject(where, element.key)
            left = None if element.left is None else element.left / 1000
            found[subject] = Blocked(subject, left, element.packets)
        if len(found) >= count - count // 1000:  # some have ended and are not yet swept away
            break
    return found


def _refusal(said: str, size: int) -> FirewallError:
    if "Operation not permitted" in said:
        return unprivileged()
    if "Too many open files in system" in said:  # ENFILE is what nf_tables says of a full set
        return FirewallError(
            f"the firewall is full: a set holds {size} elements; raise `size` under [firewall]",
            recoverable=False,
        )
    if "No such file or directory" in said:
        return FirewallError(f"a set of {ruleset.TABLE} is gone: the next look at it mends it")
    if "Operation not supported" in said:
        return FirewallError(
            f"this kernel cannot do what the firewall needs: {said.splitlines()[0]}",
            recoverable=False,
        )
    return FirewallError(f"nftables refused: {said.splitlines()[0]}")
