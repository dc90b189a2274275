# The ledger that forgets at exit: for --ephemeral, replay and tests.
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice

from msgspec import Struct
from msgspec.structs import replace

from pyfilter.addresses import Network
from pyfilter.ledger.rows import from_row, to_row
from pyfilter.model import Allowance, Ban, Decision, Event, History, Position, Release

KEPT = 100_000  # decisions; the oldest go first


class Memory(Struct, frozen=True, tag="memory", tag_field="type", forbid_unknown_fields=True):
    """Settings of a ledger in memory."""

    trouble: str = ""  # why it is not the ledger that was wanted

    def open(self) -> "MemoryLedger":
        return MemoryLedger(self.trouble)


class MemoryLedger:
    """Remembers as long as the process lives; see interfaces.Ledger."""

    def __init__(self, trouble: str = "") -> None:
        self._trouble = trouble
        self._decisions: dict[int, Decision] = {}
        self._numbers: dict[tuple[str, float, str, str], int] = {}
        self._last = 0
        self._active: dict[Network, Ban] = {}
        self._history: dict[Network, History] = {}
        self._positions: dict[str, Position] = {}
        self._allowances: dict[str, Allowance] = {}
        self._tally: dict[tuple[str, int], tuple[int, int]] = {}

    def record(self, decisions: Sequence[Decision]) -> None:
        for decision in decisions:
            kept = from_row(to_row(decision))
            if self._remember(kept):
                self._apply(kept)
        for number in list(islice(self._decisions, max(0, len(self._decisions) - KEPT))):
            self._forget(number)

    def _remember(self, decision: Decision) -> bool:
        """Give a decision its number; say whether it is new or has another end than before."""
        key = _key(decision)
        known = self._numbers.get(key)
        if known is None:
            self._last += 1
            self._numbers[key] = self._last
            self._decisions[self._last] = decision
            return True
        before = self._decisions[known]
        if isinstance(before, Release) or isinstance(decision, Release):
            return False
        if before.until == decision.until:
            return False
        self._decisions[known] = replace(decision, evidence=before.evidence)
        return True

    def _apply(self, decision: Decision) -> None:
        subject = decision.subject
        history = self._history.get(subject, History())
        match decision:
            case Ban(observe=True):
                return
            case Ban(since=since, rule=rule, strike=strike):
                self._active[subject] = decision
                strikes = strike if rule else max(strike, history.strikes)
                since = max(since, history.last_banned)
                self._history[subject] = replace(history, strikes=strikes, last_banned=since)
            case Release(at=at, cause=cause):
                self._active.pop(subject, None)
                if cause != "expired":
                    at = max(at, history.last_released)
                    self._history[subject] = replace(history, last_released=at)

    def active(self, at: float) -> list[Ban]:
        moved = [_as_of(ban, at) for ban in self._active.values()]
        return [ban for ban in moved if ban.until is None or ban.until > at]

    def evidence(self, subject: Network) -> tuple[Event, ...]:
        bans = (each for each in reversed(self._decisions.values()) if each.subject == subject)
        return next((ban.evidence for ban in bans if isinstance(ban, Ban)), ())

    def history(self, subject: Network) -> History:
        return self._history.get(subject, History())

    def histories(self, subjects: Iterable[Network]) -> dict[Network, History]:
        return {each: self._history[each] for each in subjects if each in self._history}

    def past(
        self, *, subject: Network | None = None, rule: str = "", before: int = 0, limit: int = 100
    ) -> list[tuple[int, Decision]]:
        found = (
            (number, each)
            for number, each in reversed(self._decisions.items())
            if (not before or number < before)
            and (subject is None or each.subject == subject)
            and (not rule or (isinstance(each, Ban) and each.rule == rule))
        )
        return list(islice(found, limit))

    def tally(self, counts: Mapping[tuple[str, int], tuple[int, int]]) -> None:
        for key, (failures, bans) in counts.items():
            old = self._tally.get(key, (0, 0))
            self._tally[key] = (old[0] + failures, old[1] + bans)

    def counts(self, since_hour: int) -> dict[str, tuple[int, int]]:
        found: dict[str, tuple[int, int]] = {}
        for (rule, hour), (failures, bans) in self._tally.items():
            if hour >= since_hour:
                old = found.get(rule, (0, 0))
                found[rule] = (old[0] + failures, old[1] + bans)
        return found

    def save_positions(self, positions: Iterable[Position]) -> None:
        self._positions.update({position.source: position for position in positions})

    def load_position(self, source: str) -> Position | None:
        return self._positions.get(source)

    def allow(self, allowance: Allowance) -> None:
        self._allowances[allowance.entry] = allowance

    def disallow(self, entry: str) -> bool:
        return self._allowances.pop(entry, None) is not None

    def allowances(self, at: float) -> list[Allowance]:
        return [
            each
            for _, each in sorted(self._allowances.items())
            if each.until is None or each.until > at
        ]

    def tidy(self) -> None:
        """Nothing waits for a disk."""

    def purge(self, before: float) -> None:
        for subject, ban in list(self._active.items()):
            if ban.until is not None and ban.until < before:
                del self._active[subject]
        for number, decision in list(self._decisions.items()):
            if _ended(decision) < before and decision.subject not in self._active:
                self._forget(number)
        for subject, history in list(self._history.items()):
            if subject not in self._active and _last(history) < before:
                del self._history[subject]
        for key in [key for key in self._tally if (key[1] + 1) * 3600 <= before]:
            del self._tally[key]
        for entry in [each.entry for each in self._allowances.values() if _over(each, before)]:
            del self._allowances[entry]

    def _forget(self, number: int) -> None:
        del self._numbers[_key(self._decisions.pop(number))]

    def health(self) -> str:
        return f"degraded: {self._trouble}" if self._trouble else "ok"

    def close(self) -> None:
        """Nothing is open."""


def _key(decision: Decision) -> tuple[str, float, str, str]:
    if isinstance(decision, Release):
        return (decision.subject, decision.at, "release", "")
    return (decision.subject, decision.since, "ban", decision.rule)


def _as_of(ban: Ban, at: float) -> Ban:
    """Return a ban as of a time; one that began later (the clock went back) keeps its length."""
    if ban.since > at:
        ahead = ban.since - at
        ban = replace(ban, since=at, until=None if ban.until is None else ban.until - ahead)
    return replace(ban, evidence=())


def _ended(decision: Decision) -> float:
    match decision:
        case Ban(since=since, until=until):
            return since if until is None else until
        case Release(at=at):
            return at


def _last(history: History) -> float:
    return max(history.last_banned, history.last_released)


def _over(allowance: Allowance, before: float) -> bool:
    return allowance.until is not None and allowance.until < before
