# One user name attacked from many addresses: while that lasts, unknown addresses have less credit.
import hashlib
import hmac
from collections import OrderedDict
from collections.abc import Sequence

from msgspec.structs import replace

from pyfilter.addresses import Address
from pyfilter.model import AT_ONCE, Event

ADDRESSES = 10  # that attack one name within the span make a campaign
WEIGHT = 2.0  # by which failures for such a name weigh more
_MOST_NAMES = 4096
_MOST_KNOWN = 4096  # addresses that have logged in
_DIGITS = 16  # of a name's digest; names themselves stay on their server


class Campaigns:
    """Remembers who attacks which name, by digests that only the fleet's key makes."""

    def __init__(self, key: bytes, span: float) -> None:
        self._key, self._span = key, span
        self._attackers: OrderedDict[str, OrderedDict[str, float]] = OrderedDict()
        self._known: OrderedDict[str, None] = OrderedDict()

    def digest(self, user: str) -> str:
        """Return what stands for a user name on its way; empty for none."""
        if not user:
            return ""
        return hmac.new(self._key, user.encode(errors="replace"), hashlib.sha256).hexdigest()[
            :_DIGITS
        ]

    def login(self, address: Address) -> None:
        """Remember an address as one that somebody works from."""
        self._known[address] = None
        self._known.move_to_end(address)
        if len(self._known) > _MOST_KNOWN:
            self._known.popitem(last=False)

    def note(self, digest: str, address: Address, at: float) -> None:
        """Remember that an address attacked a name."""
        if not digest or address in self._known:
            return
        attackers = self._attackers.setdefault(digest, OrderedDict())
        self._attackers.move_to_end(digest)
        attackers[address] = max(at, attackers.get(address, at))
        attackers.move_to_end(address)
        if len(attackers) > ADDRESSES:  # the latest are enough to tell
            attackers.popitem(last=False)
        if len(self._attackers) > _MOST_NAMES:
            self._attackers.popitem(last=False)

    def lasts(self, digest: str, now: float) -> bool:
        """Say whether a name is under attack from many addresses."""
        attackers = self._attackers.get(digest)
        if not attackers or len(attackers) < ADDRESSES:
            return False
        return min(attackers.values()) >= now - self._span

    def number(self, now: float) -> int:
        """Return how many names are under such an attack."""
        return sum(self.lasts(one, now) for one in self._attackers)

    def weigh(self, events: Sequence[Event]) -> list[Event]:
        """Return the events, those of a campaign with more weight."""
        return [self._weighed(event) for event in events]

    def _weighed(self, event: Event) -> Event:
        if not event.user or not 0 < event.weight < AT_ONCE or event.address in self._known:
            return event
        if not self.lasts(self.digest(event.user), event.at):
            return event
        return replace(event, weight=event.weight * WEIGHT)
