# What the control socket needs of the daemon; whoever has these attributes can be served.
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

from pyfilter.addresses import Address, Network
from pyfilter.control.ring import Ring
from pyfilter.interfaces import Ledger
from pyfilter.model import Allowance, Ban, Blocked, Decision, Event, SourceState
from pyfilter.settings.tree import Settings


class Outcome(Protocol):
    """What became of a decision; `reason` says why it was not done."""

    @property
    def decision(self) -> Decision: ...
    @property
    def done(self) -> bool: ...
    @property
    def reason(self) -> str: ...


class FirewallState(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def health(self) -> str:
        """Return "ok" or, in one sentence, what is wrong."""
        ...

    @property
    def expected(self) -> int:
        """Return how many subjects should be blocked."""
        ...

    @property
    def held(self) -> int:
        """Return how many the kernel held when it was last looked at."""
        ...

    @property
    def repairs(self) -> int: ...


class Enforcing(Protocol):
    def apply(self, decisions: Sequence[Decision], *, force: bool = False) -> Sequence[Outcome]:
        """Record, block, tell; `force` overrides the protection that may be overridden."""
        ...

    def bans(self) -> Sequence[Ban]:
        """Return the bans in force, evidence included."""
        ...

    async def blocked(self) -> Mapping[Network, Blocked]:
        """Return what the kernel holds now; must not keep the event loop from bans."""
        ...

    def protected(self, subject: Network) -> str | None:
        """Return what protects a subject or a part of it."""
        ...

    def state(self) -> FirewallState: ...


class Counting(Protocol):
    @property
    def statistics(self) -> Mapping[str, tuple[int, int]]:
        """Return (failures, bans) of each rule since the start."""
        ...

    def score(self, subject: Network) -> Mapping[str, float]:
        """Return what each rule counts against a subject; hosts fold as the rule counts them."""
        ...

    def recent(self, subject: Network) -> Sequence[Event]: ...


class Reporting(Protocol):
    def state(self) -> SourceState: ...


class Protecting(Protocol):
    @property
    def configured(self) -> Sequence[str]: ...
    @property
    def allowances(self) -> Mapping[str, Allowance]: ...


class Locating(Protocol):
    def code(self, address: Address) -> str | None:
        """Return the ISO code of an address's country."""
        ...


class Sharing(Protocol):
    def state(self) -> dict[str, Any]:
        """Return {"health", "servers": [{"name", "last_seen", "lag"}], ...} for `status`."""
        ...

    def share(self, allowance: Allowance, *, allowed: bool) -> None:
        """Make an entry protected on every server, or no longer; raises FleetError."""
        ...


class Office(Protocol):
    """The running daemon as the control socket sees it."""

    @property
    def settings(self) -> Settings: ...
    @property
    def started(self) -> float: ...
    @property
    def enforcer(self) -> Enforcing: ...
    @property
    def pipeline(self) -> Counting: ...
    @property
    def ledger(self) -> Ledger: ...
    @property
    def sources(self) -> Mapping[str, Reporting]: ...
    @property
    def protection(self) -> Protecting: ...
    @property
    def countries(self) -> Locating: ...
    @property
    def fleet(self) -> Sharing | None: ...
    @property
    def ring(self) -> Ring: ...

    def now(self) -> float:
        """Return the time that bans are dated by."""
        ...

    def allow(self, *allowances: Allowance) -> None:
        """Remember and protect entries; what they cover is released, names resolve later."""
        ...

    def disallow(self, entry: str) -> bool:
        """Take a run-time entry back; say whether there was one."""
        ...

    def examine(self) -> Iterator[str]:
        """Run every active rule's samples; yield what is wrong, "" for a sample that is right."""
        ...

    def rules_of(self, source: str) -> Sequence[str]:
        """Return the names of the rules that read a source."""
        ...

    async def reload(self) -> Sequence[str]:
        """Take a new configuration over, all or nothing; return warnings, raise SettingsError."""
        ...
