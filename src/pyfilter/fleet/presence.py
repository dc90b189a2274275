# Who is there: our own sign of life, those of the others, and what must survive a restart.
from typing import Any

import msgspec

from pyfilter.errors import FleetError
from pyfilter.fleet.limits import Limits
from pyfilter.fleet.seat import Seat
from pyfilter.fleet.store import Store
from pyfilter.visible import visible

_SERVERS_A_BEAT = 100  # the list is read in every beat by so many servers, by more the less often
_NAME = 253  # characters
_Numbers = msgspec.json.Decoder(dict[str, int])


class Presence:
    """Shows this server to the fleet and the fleet to this server."""

    def __init__(self, seat: Seat, limits: Limits) -> None:
        self._seat, self._limits = seat, limits
        self.servers: dict[str, float] = {}  # when each was last seen, by its own clock
        self.trouble = ""
        self._epoch = b""
        self._said = b""  # our last sign of life; a part of it tells us from one of our name
        self._strange = 0  # how often running it was another's
        self._beats = 0
        self._remembered = self._load()

    def _load(self) -> str:
        kept = self._seat.recall()
        try:
            numbers = _Numbers.decode(kept or "{}")
        except msgspec.DecodeError:
            numbers = {}
        self._limits.ours = numbers.pop("", 0)
        self._limits.numbers.update(numbers)
        return kept

    def begin(self) -> None:
        """Take whatever is in Redis for granted: it is about to be compared."""
        self._epoch = b""

    async def show(self, store: Store, mark: int) -> None:
        """Give a sign of life and read those of the others.

        Raises FleetError when the data in Redis are not those of the last beat.
        """
        self.save()
        every = 1 + len(self.servers) // _SERVERS_A_BEAT
        self._beats += 1
        said = f"{self._seat.clock():.3f} {mark}"
        epoch, prior, *seen = await store.present(
            self._seat.name, said, all_servers=self._beats % every == 0
        )
        if seen:
            self.servers = {_name(seen[i]): _number(seen[i + 1]) for i in range(0, len(seen), 2)}
        self._look_for_namesake(prior)
        before, self._epoch, self._said = self._epoch, epoch, said.encode()
        if before and epoch != before:
            raise FleetError("Redis lost its data: everything is shared anew")

    def _look_for_namesake(self, prior: bytes) -> None:
        strange = bool(self._said and prior) and prior != self._said
        self._strange = self._strange + 1 if strange else 0
        self.trouble = ""
        if self._strange > 1:
            name = self._seat.name
            self.trouble = f"another server is called {name}, too: give each a name of its own"

    def save(self) -> None:
        """Keep the newest numbers, so that nothing can be replayed after a restart."""
        numbers = {"": self._limits.ours, **self._limits.numbers}
        kept = msgspec.json.encode(numbers).decode()
        if kept != self._remembered:
            self._seat.remember(kept)
            self._remembered = kept

    def rows(self) -> list[dict[str, Any]]:
        """Return the servers as `status` shows them; times in seconds since the epoch."""
        now = self._seat.clock()
        return [
            {"name": name, "last_seen": at, "lag": max(0.0, round(now - at, 1))}
            for name, at in sorted(self.servers.items())
        ]


def _name(text: bytes) -> str:
    return visible(text.decode(errors="replace"), _NAME)


def _number(text: bytes) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0
