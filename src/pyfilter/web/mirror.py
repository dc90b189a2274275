# A copy of the bans in force, kept up to date over the control socket, for many readers.
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import closing

from msgspec import Struct

from pyfilter.control.answers import BansAnswer, Happening
from pyfilter.control.client import Client
from pyfilter.control.requests import Follow, ListBans
from pyfilter.errors import PyfilterError

_log = logging.getLogger(__name__)
_PAGE = 2000
_CHANGES = 200_000  # remembered for bouncers that ask for news
_AGAIN = 1.0  # seconds until the daemon is asked again


class Decision(Struct, frozen=True):
    """One ban as bouncers know it."""

    id: int
    value: str
    scenario: str
    origin: str
    until: float | None  # None: for ever


class Change(Struct, frozen=True):
    number: int
    decision: Decision
    gone: bool


class Mirror:
    """Follows the daemon in a thread of its own."""

    def __init__(self, connect: Callable[[], Client]) -> None:
        self._connect = connect
        self._lock = threading.Lock()
        self._bans: dict[str, Decision] = {}
        self._changes: deque[Change] = deque(maxlen=_CHANGES)
        self._number = self._ids = 0
        self._closed = threading.Event()
        self.ready = threading.Event()
        self.trouble = ""

    def start(self) -> None:
        threading.Thread(target=self._follow_for_ever, name="mirror", daemon=True).start()

    def close(self) -> None:
        """Stop asking the daemon when it next goes away."""
        self._closed.set()

    def all(self) -> tuple[int, list[Decision]]:
        """Return the bans in force and the number of the newest change."""
        now = time.time()
        with self._lock:
            return self._number, [d for d in self._bans.values() if not _ended(d, now)]

    def since(self, number: int) -> tuple[int, list[Decision], list[Decision]] | None:
        """Return (newest number, new, gone) since a change; None when that is too long ago."""
        with self._lock:
            oldest = self._changes[0].number if self._changes else self._number + 1
            if number + 1 < oldest:
                return None
            last = {c.decision.value: c for c in self._changes if c.number > number}
            new = [c.decision for c in last.values() if not c.gone]
            gone = [c.decision for c in last.values() if c.gone]
            return self._number, new, gone

    def _follow_for_ever(self) -> None:
        while not self._closed.is_set():
            try:
                self._follow()
            except PyfilterError as error:
                if str(error) != self.trouble:
                    _log.warning("%s", error)
                self.trouble = str(error)
            self._closed.wait(_AGAIN)

    def _follow(self) -> None:
        with closing(self._connect()) as listening:
            self._take_snapshot(self._snapshot())
            # What the ring still holds is told first: nothing falls between listing and following.
            for happening in listening.follow(Follow(after=0, events=False)):
                self._take(happening)

    def _snapshot(self) -> dict[str, Decision]:
        found: dict[str, Decision] = {}
        with closing(self._connect()) as client:
            cursor = ""
            while True:
                page = client.ask(ListBans(cursor=cursor, limit=_PAGE), BansAnswer)
                for row in page.bans:
                    if not row.observe:
                        found[row.subject] = self._decision(
                            row.subject, row.rule, row.origin, row.until
                        )
                cursor = page.next
                if not cursor:
                    return found

    def _decision(self, value: str, rule: str, origin: str, until: float | None) -> Decision:
        self._ids += 1
        return Decision(self._ids, value, f"pyfilter/{rule or 'manual'}", origin, until)

    def _take_snapshot(self, found: dict[str, Decision]) -> None:
        with self._lock:
            for value in self._bans.keys() - found.keys():
                self._change(self._bans.pop(value), gone=True)
            for value, decision in found.items():
                known = self._bans.get(value)
                if known is None or known.until != decision.until:
                    self._bans[value] = decision
                    self._change(decision, gone=False)
        self.trouble = ""
        self.ready.set()

    def _take(self, happening: Happening) -> None:
        with self._lock:
            known = self._bans.get(happening.subject)
            if happening.what == "release" and known:
                self._change(self._bans.pop(happening.subject), gone=True)
            elif happening.what == "ban" and (known is None or known.until != happening.until):
                decision = self._decision(
                    happening.subject, happening.rule, happening.origin, happening.until
                )
                self._bans[happening.subject] = decision
                self._change(decision, gone=False)

    def _change(self, decision: Decision, *, gone: bool) -> None:
        self._number += 1
        self._changes.append(Change(self._number, decision, gone))


def _ended(decision: Decision, now: float) -> bool:
    return decision.until is not None and decision.until <= now
