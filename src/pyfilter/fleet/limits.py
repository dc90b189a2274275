# How much a peer may ask for; what is over is refused and counted, by peer.
from collections import Counter

from msgspec.structs import replace

from pyfilter.errors import FleetError
from pyfilter.fleet.record import Record

RATE = 200.0  # records a second that one peer may send for long
BURST = 20_000.0  # and at once, after it was away
MOST_PEERS = 10_000
_OTHERS = "others"  # under which the refused records of more peers than that are counted


class Quota:
    """A peer's allowance: fills at RATE, holds BURST."""

    def __init__(self, now: float) -> None:
        self.left, self.at = BURST, now

    def take(self, now: float) -> bool:
        self.left = min(BURST, self.left + (now - self.at) * RATE)
        self.at = now
        if self.left < 1:
            return False
        self.left -= 1
        return True


class Limits:
    """Judges the records of all peers."""

    def __init__(self, longest: float | None) -> None:
        self.longest = longest  # seconds of the longest ban that local policy knows; None: for ever
        self.refused: Counter[str] = Counter()  # by peer
        self.numbers: dict[str, int] = {}  # the newest record of each peer that came by stream
        self.ours = 0  # the newest number that we ourselves gave
        self._quotas: dict[str, Quota] = {}

    def refuse(self, server: str) -> None:
        """Count a refused record of a server."""
        known = server in self.refused or len(self.refused) < MOST_PEERS
        self.refused[server if known else _OTHERS] += 1

    def admit(self, record: Record, now: float, *, fresh: bool) -> Record:
        """Return the record, its end capped by local policy; raises FleetError when refused.

        A `fresh` record comes by the stream and must be newer than the last of its server; one of
        the snapshot may have been seen before.
        """
        if fresh and record.number <= self.numbers.get(record.server, 0):
            raise FleetError("a record was sent before: it is replayed")
        quota = self._quotas.get(record.server)
        if quota is None:
            if len(self._quotas) >= MOST_PEERS:
                raise FleetError("there are more servers than a fleet can have")
            quota = self._quotas[record.server] = Quota(now)
        if not quota.take(now):
            raise FleetError("a server sends more records than it may")
        if fresh:
            self.numbers[record.server] = record.number
        return self._capped(record)

    def _capped(self, record: Record) -> Record:
        if self.longest is None or record.kind != "ban":
            return record
        latest = record.at + self.longest  # not from now: it would grow each time it is read
        return record if record.end() <= latest else replace(record, until=latest)
