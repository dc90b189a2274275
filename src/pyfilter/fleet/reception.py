# Judges what the other servers sent: applied, refused and counted, or answered when we know better.
import logging
import time
from collections.abc import Callable, Sequence

from pyfilter.addresses import Network
from pyfilter.errors import AddressError, FleetError
from pyfilter.fleet.limits import Limits
from pyfilter.fleet.record import Record, meant, unseal
from pyfilter.fleet.seat import Seat
from pyfilter.model import Ban, Decision, Release
from pyfilter.visible import visible

_log = logging.getLogger(__name__)
SILENT = 60.0  # seconds between two log lines about refused records
_NAME = 64  # characters of a server's name that are shown


class Reception:
    """Takes sealed records; every check is made here, before the enforcer makes its own."""

    def __init__(self, seat: Seat, limits: Limits, reply: Callable[[Decision], None]) -> None:
        self._seat, self._limits, self._reply = seat, limits, reply
        self.mark = -1  # of the numbers that we give to our own records
        self._complained = -SILENT
        self._unsaid = 0

    def take(self, sealed: Sequence[bytes], *, fresh: bool) -> list[Record]:
        """Apply what is news, after every check; return all that was readable.

        `fresh` records come by the stream; those of the snapshot may have been seen before.
        """
        now, read = self._seat.clock(), []
        pending: dict[Network, Decision] = {}
        for one in sealed:
            try:
                record = unseal(one, self._seat.key, now)
                read.append(record)
                if fresh and self.is_own(record):
                    continue
                if record.kind in {"allow", "disallow"}:
                    self._allow(record, one, now)
                    continue
                decision = self._admitted(record, now, fresh=fresh)
            except (FleetError, AddressError) as error:
                self.refuse(sender(one), error)
                continue
            if decision.subject in pending:  # what is news depends on what came before
                self._apply(pending)
            if self._is_news(decision, now):
                pending[decision.subject] = decision
            else:
                self._answer(decision, now)
        self._apply(pending)
        return read

    def take_evidence(self, batches: Sequence[bytes]) -> None:
        """Count what others saw, after every check."""
        for one in batches:
            try:
                if self._seat.counting:
                    self._seat.counting.take(one)
            except FleetError as error:
                self.refuse(sender(one), error)

    def is_own(self, record: Record) -> bool:
        """Say whether we ourselves sent a record, not another server of our name."""
        return record.server == self._seat.name and record.number & MARKS == self.mark

    def _allow(self, record: Record, sealed: bytes, now: float) -> None:
        """Share an entry; of two words on it the later counts, so nothing can be replayed."""
        self._limits.admit(record, now, fresh=False)
        if self._seat.allowances:
            self._seat.allowances.take(record, sealed, now)

    def _admitted(self, record: Record, now: float, *, fresh: bool) -> Decision:
        decision = meant(self._limits.admit(record, now, fresh=fresh))
        if isinstance(decision, Ban) and (why := self._seat.protected(decision.subject)):
            raise FleetError(f"a record bans {decision.subject}, which is protected: {why}")
        return decision

    def _apply(self, pending: dict[Network, Decision]) -> None:
        if pending:
            self._seat.apply(list(pending.values()))
            pending.clear()

    def _is_news(self, decision: Decision, now: float) -> bool:
        known = self._seat.standing(decision.subject)
        if isinstance(decision, Release):
            return known is not None and known.since <= decision.at
        if known and (known.until is None or (decision.until and decision.until <= known.until)):
            return False
        over = decision.until is not None and decision.until <= now
        return not over and self._seat.released_at(decision.subject) < decision.since

    def _answer(self, decision: Decision, now: float) -> None:
        """Tell the fleet what we know better: it missed a release or a later ban."""
        subject = decision.subject
        known = self._seat.standing(subject)
        if known and known.observe:
            known = None
        if isinstance(decision, Release):
            if known and known.since > decision.at:
                self._reply(known)
            return
        over = decision.until is not None and decision.until <= now
        if over or (known and known.since <= decision.since):
            return
        lifted = self._seat.lifted(subject)
        if lifted >= decision.since:
            self._reply(Release(subject, lifted, "operator"))
            if known:
                self._reply(known)

    def refuse(self, server: str, error: Exception) -> None:
        """Count a refused record; the log hears of it once a minute at most."""
        self._limits.refuse(server)
        self._unsaid += 1
        if time.monotonic() - self._complained >= SILENT:
            self._complained = time.monotonic()
            _log.warning("Fleet: refused %d from %s: %s", self._unsaid, server, error)
            self._unsaid = 0


MARKS = 1023  # the lowest bits of a record's number tell which process gave it


def sender(sealed: bytes) -> str:
    """Return the server that a refused record names, as far as it can be read."""
    _, _, rest = sealed[:4096].partition(b'"server":"')
    name = rest.partition(b'"')[0][:_NAME].decode("utf-8", "replace")
    return visible(name) or "unknown"
