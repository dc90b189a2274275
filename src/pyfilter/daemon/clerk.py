# Keeps blacklist.v4 and .v6 in line with the bans, and takes edits by hand up as decisions.
import asyncio
import logging

from pyfilter.blacklist import Blacklist
from pyfilter.durations import FOREVER
from pyfilter.enforcer import Enforcer
from pyfilter.model import Ban, Decision, Release

_log = logging.getLogger(__name__)
_GATHER = 0.2  # seconds; decisions that come together are written together
_GENTLE = 20  # writing may take a twentieth of the time: files of many bans are written less often
_AGAIN = 1.0  # seconds until a file that is being edited is tried again


class Clerk:
    """A notifier that writes the files soon after a decision, and reads what people wrote."""

    name = "blacklist"

    def __init__(self, blacklist: Blacklist, enforcer: Enforcer, bantime: float) -> None:
        self._blacklist, self._enforcer, self._bantime = blacklist, enforcer, bantime
        self._wake = asyncio.Event()
        self._said: list[str] = []

    def tell(self, _decision: Decision) -> None:
        self._wake.set()

    async def run(self) -> None:
        """Take up edits made while nobody watched, then keep files and bans in line."""
        loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._watch())
            while True:
                self._wake.clear()
                began = loop.time()
                self.take_edits()
                if not self._blacklist.write(self._enforcer.bans()):
                    loop.call_later(_AGAIN, self._wake.set)
                took = loop.time() - began
                self._complain()
                await self._wake.wait()
                await asyncio.sleep(max(_GATHER, _GENTLE * took))

    async def _watch(self) -> None:
        async for _ in self._blacklist.watch():
            self.take_edits()
            self._wake.set()

    def take_edits(self) -> None:
        """Release what was removed by hand and ban what was added."""
        edits, now = self._blacklist.edits(), self._enforcer.clock()
        until = None if self._bantime == FOREVER else now + self._bantime
        decisions: list[Decision] = [Release(s, now, "blacklist") for s in sorted(edits.removed)]
        decisions += [
            Ban(subject, now, until, "added to the blacklist file", origin="operator")
            for subject in sorted(edits.added)
        ]
        for outcome in self._enforcer.apply(decisions):
            if not outcome.done:
                subject, reason = outcome.decision.subject, outcome.reason
                _log.warning("Edited blacklist: %s %s", subject, reason)

    def _complain(self) -> None:
        troubles = self._blacklist.troubles()
        for trouble in troubles:
            if trouble not in self._said:
                _log.error("The blacklist file is left as it is: %s", trouble)
        self._said = troubles
