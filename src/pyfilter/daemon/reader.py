# Reads one source for as long as the daemon lives; a source in trouble never stops the others.
import asyncio
import logging
import math
from collections.abc import Callable, Iterable
from contextlib import aclosing

from pyfilter.addresses import Network
from pyfilter.enforcer import Enforcer, Outcome
from pyfilter.errors import LedgerError, SourceError
from pyfilter.interfaces import Ledger, Source
from pyfilter.model import Position
from pyfilter.pipeline import Pipeline

_log = logging.getLogger(__name__)
_WARN_AGAIN = 3600.0  # seconds
_MOST_WARNED = 1000
_PATIENCE = 5.0  # seconds before a source that failed is opened again


class Reader:
    """Carries the blocks of one source into the pipeline and its bans to the enforcer."""

    def __init__(
        self, source: Source, pipeline: Pipeline, enforcer: Enforcer, on_read: Callable[[], None]
    ) -> None:
        self.source = source
        self._pipeline, self._enforcer, self._on_read = pipeline, enforcer, on_read
        self._warned: dict[Network, float] = {}  # subjects that were spared, and when it was said

    async def run(self, since: float) -> None:
        """Read what was written since a time, then what is being written, until cancelled."""
        while True:
            try:
                await self._read(since)
            except SourceError as error:
                _log.error("%s: %s", self.source.name, error)
                await asyncio.sleep(_PATIENCE)
            else:
                return  # standard input has ended

    async def _read(self, since: float) -> None:
        resume = self.source.position() or recall_position(self._enforcer.ledger, self.source.name)
        async with aclosing(self.source.blocks(resume, since)) as blocks:
            async for block in blocks:
                if bans := self._pipeline.process(block):
                    self._warn(self._enforcer.apply(bans))
                self._on_read()

    def _warn(self, outcomes: Iterable[Outcome]) -> None:
        """Say who was spared and why, once an hour each: an operator who mistypes wants to know."""
        for subject, reason in ((o.decision.subject, o.reason) for o in outcomes if not o.done):
            now = self._enforcer.clock()
            if self._warned.get(subject, -math.inf) > now - _WARN_AGAIN:
                continue
            if len(self._warned) >= _MOST_WARNED:
                self._warned.clear()
            self._warned[subject] = now
            _log.warning("%s: %s failed too often but %s", self.source.name, subject, reason)


def recall_position(ledger: Ledger, source: str) -> Position | None:
    """Return the saved place of a source; without one it starts at the window's beginning."""
    try:
        return ledger.load_position(source)
    except LedgerError as error:
        _log.error("The place in %s could not be recalled: %s", source, error)
        return None
