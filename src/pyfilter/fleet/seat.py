# What a member of the fleet needs of its server.
from collections.abc import Callable, Sequence

from msgspec import Struct

from pyfilter.addresses import Network
from pyfilter.fleet.allowances import Allowances
from pyfilter.fleet.counting import Counting
from pyfilter.fleet.store import Store
from pyfilter.interfaces import Clock
from pyfilter.model import Ban, Decision


def _nothing(_: Network) -> str | None:
    return None


def _blank() -> str:
    return ""


def _forget(_: str) -> None:
    return


class Seat(Struct, frozen=True):
    """One server's name, key and doors, as a member of the fleet uses them."""

    name: str
    key: bytes
    open_store: Callable[[], Store]
    apply: Callable[[Sequence[Decision]], object]
    bans: Callable[[], Sequence[Ban]]
    standing: Callable[[Network], Ban | None]
    released_at: Callable[[Network], float]  # when a subject was last released here; 0: never
    clock: Clock
    check_time: float = 0.0  # seconds between comparisons; 0: only when there is a reason
    lifted_at: Callable[[Network], float] | None = None  # the same of releases for everybody
    protected: Callable[[Network], str | None] = _nothing
    recall: Callable[[], str] = _blank  # what `remember` was told before a restart
    remember: Callable[[str], None] = _forget
    counting: Counting | None = None
    allowances: Allowances | None = None
    connected: Callable[[], object] = _blank  # told when there is a connection to Redis

    def lifted(self, subject: Network) -> float:
        """Return when a subject was last released for the whole fleet; 0: never."""
        return (self.lifted_at or self.released_at)(subject)
