# The firewall that bans nothing and remembers what it would have blocked; it needs no privilege.
import math
import time
from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from pyfilter.addresses import Network
from pyfilter.interfaces import Firewall
from pyfilter.model import Ban, Blocked, Decision


class Observe(Struct, frozen=True, tag="observe", tag_field="type", forbid_unknown_fields=True):
    """Settings of the firewall that only watches."""

    def open(self) -> Firewall:
        return ObservingFirewall()


class ObservingFirewall:
    """Keeps what a real firewall would hold, and lets it end as the kernel would."""

    name = "observe"

    def __init__(self) -> None:
        self._ends: dict[Network, float] = {}  # on the monotonic clock; inf: for ever

    def open(self) -> None:
        """There is nothing to make ready."""

    def apply(self, decisions: Sequence[Decision], now: float) -> None:
        offset = time.monotonic() - now
        for decision in decisions:
            if isinstance(decision, Ban) and (decision.until is None or decision.until > now):
                end = math.inf if decision.until is None else decision.until + offset
                self._ends[decision.subject] = end
            else:
                self._ends.pop(decision.subject, None)

    def fitting(self, bans: Mapping[Network, Ban]) -> Mapping[Network, Ban]:
        return bans

    def protect(self, networks: Iterable[Network]) -> None:
        """Nobody is blocked, so nobody needs to be let through."""

    def blocked(self) -> dict[Network, Blocked]:
        now = time.monotonic()
        self._ends = {subject: end for subject, end in self._ends.items() if end > now}
        return {
            subject: Blocked(subject, None if end == math.inf else end - now)
            for subject, end in self._ends.items()
        }

    def intact(self, expected: int) -> bool:  # noqa: ARG002 - nobody else can touch it
        return True

    def bell(self) -> int | None:
        return None

    def rung(self) -> bool:
        return False

    def close(self) -> None:
        """There is nothing to free."""

    def remove(self) -> None:
        self._ends.clear()
