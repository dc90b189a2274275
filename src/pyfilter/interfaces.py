# The seams: a part that keeps one of these contracts can take the place of any other that does.
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from typing import Protocol

from pyfilter.addresses import Network
from pyfilter.model import (
    Allowance,
    Ban,
    Block,
    Blocked,
    Decision,
    Event,
    History,
    Offence,
    Position,
    SourceState,
)

Clock = Callable[[], float]
Stamp = Callable[[bytes], float | None]  # a line's own time in seconds since the epoch


class Source(Protocol):
    """Yields whole lines, in order, none lost or doubled across rotation."""

    name: str

    def blocks(self, resume: Position | None, since: float) -> AsyncGenerator[Block, None]:
        """Yield what was written after `since` as catch-up, then what is being written, live.

        Lines at or before `resume` are marked `again`. Closing the iterator frees everything.
        """
        ...

    def position(self) -> Position | None:
        """Return the place behind the last block that was taken from `blocks`."""
        ...

    def state(self) -> SourceState: ...


class Detector(Protocol):
    """Counts events into offences; pure and bounded, time comes from the event."""

    def observe(self, events: Sequence[Event]) -> list[Offence]: ...

    def forget(self, before: float) -> None:
        """Drop what lies wholly before `before`."""
        ...

    def drop(self, subject: Network) -> None:
        """Drop all that is counted of one subject (it was banned or released)."""
        ...

    def score(self, subject: Network) -> float:
        """Return the weight now counted against a subject."""
        ...

    def recent(self, subject: Network) -> tuple[Event, ...]:
        """Return the events still remembered of a subject, oldest first."""
        ...

    def __len__(self) -> int:
        """Return how many subjects are under count."""
        ...


class Ledger(Protocol):
    """Remembers; every method is atomic and idempotent and raises LedgerError."""

    def record(self, decisions: Sequence[Decision]) -> None: ...

    def active(self, at: float) -> list[Ban]:
        """Return the bans in force at a time, without their evidence.

        One dated after `at`, because the clock went back, is returned as if it began at `at`.
        """
        ...

    def evidence(self, subject: Network) -> tuple[Event, ...]:
        """Return the evidence of the latest ban of a subject, oldest first."""
        ...

    def history(self, subject: Network) -> History: ...

    def histories(self, subjects: Iterable[Network]) -> dict[Network, History]:
        """Return the history of each subject that is known."""
        ...

    def past(
        self, *, subject: Network | None = None, rule: str = "", before: int = 0, limit: int = 100
    ) -> list[tuple[int, Decision]]:
        """Return decisions with their numbers, newest first, those numbered below `before`."""
        ...

    def tally(self, counts: Mapping[tuple[str, int], tuple[int, int]]) -> None:
        """Add (failures, bans) to the counts of (rule, hour since the epoch)."""
        ...

    def counts(self, since_hour: int) -> dict[str, tuple[int, int]]:
        """Return (failures, bans) per rule since an hour."""
        ...

    def save_positions(self, positions: Iterable[Position]) -> None: ...

    def load_position(self, source: str) -> Position | None: ...

    def allow(self, allowance: Allowance) -> None: ...

    def disallow(self, entry: str) -> bool: ...

    def allowances(self, at: float) -> list[Allowance]: ...

    def purge(self, before: float) -> None:
        """Drop history, evidence and counts that ended before a time."""
        ...

    def tidy(self) -> None:
        """Do what may take as long as the disk does; for a thread beside all other calls."""
        ...

    def health(self) -> str:
        """Return "ok" or, in one sentence, what is wrong."""
        ...

    def close(self) -> None: ...


class Firewall(Protocol):
    """Blocks; idempotent, one batch is all or nothing, raises FirewallError."""

    name: str

    def open(self) -> None:
        """Make our table ready; what it already blocks stays blocked."""
        ...

    def apply(self, decisions: Sequence[Decision], now: float) -> None:
        """Take bans and releases over; a Ban of what is blocked sets its new end.

        Releasing what is absent is success. `now` is the clock that bans are dated by.
        """
        ...

    def fitting(self, bans: Mapping[Network, Ban]) -> Mapping[Network, Ban]:
        """Return the bans that there is room for: of too many, those that end last."""
        ...

    def protect(self, networks: Iterable[Network]) -> None:
        """Replace what is let through before any ban."""
        ...

    def blocked(self) -> dict[Network, Blocked]:
        """Return what the kernel itself holds now, with packets dropped."""
        ...

    def intact(self, expected: int) -> bool:
        """Say cheaply whether table, chain, rules and about `expected` elements stand."""
        ...

    def bell(self) -> int | None:
        """Return a descriptor that turns readable when somebody changes the ruleset."""
        ...

    def rung(self) -> bool:
        """Empty the bell; say whether somebody other than we rang it."""
        ...

    def close(self) -> None:
        """Free descriptors; bans stay in force."""
        ...

    def remove(self) -> None:
        """Take away all that is ours and nothing else."""
        ...


class Notifier(Protocol):
    """Tells somebody else; may fail, never delays a ban."""

    name: str

    def tell(self, decision: Decision) -> None: ...
