# The one door for every Decision: check, record, block, tell.
import asyncio
import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from heapq import heapify, heappop, heappush

from msgspec.structs import replace

from pyfilter.addresses import Network
from pyfilter.enforcer.outcome import FirewallState, Outcome
from pyfilter.errors import FirewallError, LedgerError
from pyfilter.interfaces import Clock, Firewall, Ledger, Notifier
from pyfilter.model import Ban, Blocked, Decision, History, Release
from pyfilter.protection import Protection

_log = logging.getLogger(__name__)
_CHUNK = 1000  # decisions in one kernel transaction: a larger one would hold the loop too long
_MOST_UNRECORDED = 100_000
_REMEMBERED = 90 * 86400.0  # seconds for which the ledger keeps what is over


class Enforcer:
    """Holds the bans in force and brings ledger, firewall and notifiers in line with them."""

    def __init__(
        self, ledger: Ledger, firewall: Firewall, protection: Protection, clock: Clock
    ) -> None:
        self.ledger, self.firewall, self.protection = ledger, firewall, protection
        self.clock = clock
        self.notifiers: list[Notifier] = []
        self.standing: dict[Network, Ban] = {}  # evidence left to the ledger
        self.unrecorded: list[Decision] = []  # what the ledger could not take yet
        self.unapplied: dict[Network, Decision] = {}  # what the firewall could not take yet
        self.left_out: set[Network] = set()  # what a full firewall has no room for
        self.trouble = ""  # the firewall's last complaint, until it works again
        self.refused: dict[str, int] = {}  # by origin
        self.held = self.repairs = 0
        self.recalled = True  # the bans of an earlier run, if they were asked for
        self._ends: list[tuple[float, Network]] = []

    def apply(self, decisions: Iterable[Decision], *, force: bool = False) -> list[Outcome]:
        """Check, record, block and tell; one outcome a decision, in order. Never raises."""
        outcomes = [self._take(decision, force=force) for decision in decisions]
        taken = [outcome.decision for outcome in outcomes if outcome.done]
        self.record(taken)
        self.block(taken)
        for decision in taken:
            self._tell(decision)
        return outcomes

    def _take(self, decision: Decision, *, force: bool) -> Outcome:
        if isinstance(decision, Release):
            known = self.standing.pop(decision.subject, None)
            return Outcome(decision, known is not None, "" if known else "is not banned")
        if refusal := self._refusal(decision, force=force):
            self.refused[decision.origin] = self.refused.get(decision.origin, 0) + 1
            return Outcome(decision, done=False, reason=refusal)
        known = self.standing.get(decision.subject)
        if known and known.observe <= decision.observe and _ends_later(known, decision):
            return Outcome(known, done=False, reason="is banned already")
        self.standing[decision.subject] = replace(decision, evidence=())
        if decision.until is not None:
            heappush(self._ends, (decision.until, decision.subject))
        return Outcome(decision, done=True)

    def _refusal(self, ban: Ban, *, force: bool) -> str:
        shield = self.protection.shield(ban.subject)
        if shield and (shield.firm or not force):
            return f"is protected: {shield.why}"
        if ban.until is not None and ban.until <= self.clock():
            return "has ended already"
        return ""

    def record(self, decisions: Sequence[Decision]) -> None:
        """Write to the ledger; what it cannot take now is kept and written later."""
        pending = [*self.unrecorded, *decisions]
        if not pending:
            return
        try:
            self.ledger.record(pending)
            self.unrecorded = []
        except LedgerError as error:
            if not self.unrecorded:
                _log.error("The ledger cannot take a decision, protection goes on: %s", error)
            self.unrecorded = pending[-_MOST_UNRECORDED:]

    def histories(self, subjects: Collection[Network]) -> dict[Network, History]:
        """Return what the ledger remembers of subjects; nothing when it cannot tell."""
        try:
            return self.ledger.histories(subjects)
        except LedgerError as error:
            _log.error("The ledger cannot tell of the past, protection goes on: %s", error)
            return {}

    def recall(self) -> None:
        """Take up the bans that the ledger holds in force, at the next sweep if it cannot tell."""
        try:
            bans = self.ledger.active(self.clock())
        except LedgerError as error:
            self.recalled = False
            _log.error("The ledger cannot tell of earlier bans, protection goes on: %s", error)
        else:
            self.recalled = True
            self.restore([ban for ban in bans if ban.subject not in self.standing])

    def tend(self) -> None:
        """Take up what could not be recalled; let the ledger drop what is long over."""
        if not self.recalled:
            self.recall()
        with suppress(LedgerError):  # the next sweep has the same to drop
            self.ledger.purge(self.clock() - _REMEMBERED)

    def block(self, decisions: Sequence[Decision]) -> None:
        """Bring the kernel in line; what it refuses now is tried again at the next sweep."""
        wanted = [d for d in decisions if self._is_for_the_kernel(d)]
        chunks = (wanted[start : start + _CHUNK] for start in range(0, len(wanted), _CHUNK))
        if True in list(map(self._block_chunk, chunks)):
            self._make_room()

    def _block_chunk(self, chunk: Sequence[Decision]) -> bool:
        """Hand a chunk to the firewall; say whether it had no room for it."""
        try:
            self.firewall.apply(chunk, self.clock())
        except FirewallError as error:
            self.complain(error)
            self.unapplied.update((d.subject, d) for d in chunk)
            return not error.recoverable
        if self.unapplied or self.left_out:
            for decision in chunk:
                self.unapplied.pop(decision.subject, None)
                if isinstance(decision, Ban):
                    self.left_out.discard(decision.subject)
        return False

    def _make_room(self) -> None:
        """Let the bans that end last have the room that a full firewall has."""
        desired = self.desired()
        out = self.lacking(desired)
        if not out:  # it was refused for another reason, or ended bans are still to be swept away
            return
        waiting = list(self.unapplied.values())
        held = out - self.left_out - self.unapplied.keys()
        self.unapplied = {s: d for s, d in self.unapplied.items() if s not in out}
        self.left_out = out
        now = self.clock()
        gone = [Release(subject, now, "full") for subject in held]
        gone += [d for d in waiting if isinstance(d, Release)]
        fits = [d for d in waiting if isinstance(d, Ban) and d.subject in desired]
        for chosen in (gone, fits):  # what goes makes room only once it is gone
            for start in range(0, len(chosen), _CHUNK):
                self._block_chunk(chosen[start : start + _CHUNK])

    def lacking(self, fitting: Mapping[Network, Ban]) -> set[Network]:
        """Return the bans that the firewall has no room for."""
        return set(self._wanted({s: ban for s, ban in self.standing.items() if s not in fitting}))

    def complain(self, error: FirewallError) -> None:
        """Remember the firewall's trouble; it is logged once until it changes."""
        if str(error) != self.trouble:
            _log.error("The firewall refused: %s", error)
        self.trouble = str(error)

    def _is_for_the_kernel(self, decision: Decision) -> bool:
        if isinstance(decision, Ban):
            return not self._only_says(decision)
        if decision.subject not in self.left_out:
            return True
        self.left_out.remove(decision.subject)
        return False

    def _only_says(self, ban: Ban) -> bool:
        return ban.observe and self.firewall.name != "observe"

    def _tell(self, decision: Decision) -> None:
        for notifier in self.notifiers:
            try:
                notifier.tell(decision)
            except Exception:  # noqa: BLE001 # whatever a notifier does, the ban stands
                _log.exception("%s could not be told", notifier.name)

    def next_end(self) -> float | None:
        """Return when the next ban ends."""
        return self._ends[0][0] if self._ends else None

    def expire(self) -> list[Outcome]:
        """Release what has ended."""
        now, ended = self.clock(), []
        while self._ends and self._ends[0][0] <= now:
            until, subject = heappop(self._ends)
            ban = self.standing.get(subject)
            if ban is not None and ban.until == until:
                ended.append(Release(subject, now, "expired", ban.origin))
        return self.apply(ended)

    def bans(self) -> list[Ban]:
        """Return the bans that have not ended, oldest first."""
        now = self.clock()
        return [ban for ban in self.standing.values() if ban.until is None or ban.until > now]

    def desired(self) -> Mapping[Network, Ban]:
        """Return what the kernel should hold: every ban that is more than said and has room."""
        return self.firewall.fitting(self._wanted(self.standing))

    def _wanted(self, bans: Mapping[Network, Ban]) -> Mapping[Network, Ban]:
        now, only_says = self.clock(), self._only_says
        return {
            subject: ban
            for subject, ban in bans.items()
            if (ban.until is None or ban.until > now) and not (ban.observe and only_says(ban))
        }

    async def blocked(self) -> dict[Network, Blocked]:
        """Return what the kernel itself holds now; raises FirewallError.

        Read in a thread, because a listing of 100,000 elements must not hold up a ban.
        """
        return self.listed(await asyncio.to_thread(self.firewall.blocked))

    def listed(self, held: dict[Network, Blocked]) -> dict[Network, Blocked]:
        """Remember for `status` how much the kernel held."""
        self.held = len(held)
        return held

    def protected(self, subject: Network) -> str | None:
        """Return what protects a subject or a part of it."""
        shield = self.protection.shield(subject)
        return shield.why if shield else None

    def state(self) -> FirewallState:
        health = self.trouble or ("the firewall is full" if self.left_out else "ok")
        if self.left_out:
            health += f"; {len(self.left_out)} bans, those that end soonest, are left out"
        expected = len(self.desired())
        return FirewallState(self.firewall.name, health, expected, self.held, self.repairs)

    def restore(self, bans: Collection[Ban]) -> None:
        """Take bans of an earlier run up again without recording or telling them anew."""
        shielded = self.protection.shielded([ban.subject for ban in bans])
        now = self.clock()
        for ban in bans:
            if ban.subject not in shielded and (ban.until is None or ban.until > now):
                self.standing[ban.subject] = ban
                if ban.until is not None:
                    self._ends.append((ban.until, ban.subject))
        heapify(self._ends)


def _ends_later(known: Ban, new: Ban) -> bool:
    return known.until is None or (new.until is not None and new.until <= known.until)
