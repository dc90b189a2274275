# Who is logged in right now: a login seen in a log counts for as long as its connection lives.
from collections.abc import Sequence

from pyfilter.addresses import Network
from pyfilter.model import Event
from pyfilter.protection.shields import Protection, Shield
from pyfilter.protection.surroundings import connections, logged_in

_MOST = 1024  # remembered logins; more people than that are not at work on one server


class Sessions:
    """Remembers logins by peer and port, and drops them when the connection is gone."""

    def __init__(self, protection: Protection) -> None:
        self._protection = protection
        self._users: dict[tuple[Network, str], str] = {}

    def witness(self, events: Sequence[Event]) -> None:
        """Take up the logins among what the rules saw."""
        logins = [e for e in events if not e.weight and e.kind == "success" and e.port]
        for login in logins[: _MOST - len(self._users)]:
            self._users[Network(login.address), login.port] = login.user
        if logins:
            self.refresh()

    def refresh(self) -> None:
        """Hold what is remembered against the kernel's connections."""
        alive = connections() if self._users else set()
        self._users = {key: user for key, user in self._users.items() if key in alive}
        people = logged_in() | {key[0]: user for key, user in self._users.items()}
        shields = tuple(
            Shield(peer, f"a live session of {user}", firm=False)
            for peer, user in sorted(people.items())
        )
        if shields != self._protection.sessions:
            self._protection.sessions = shields
            self._protection.rebuild()
