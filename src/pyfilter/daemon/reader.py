# Reads one source for as long as the daemon lives; a source in trouble never stops the others.
import asyncio
import logging
from collections.abc import Callable
from contextlib import aclosing

from pyfilter.enforcer import Enforcer
from pyfilter.errors import LedgerError, SourceError
from pyfilter.interfaces import Ledger, Source
from pyfilter.model import Position
from pyfilter.pipeline import Pipeline

_log = logging.getLogger(__name__)
_PATIENCE = 5.0  # seconds before a source that failed is opened again


class Reader:
    """Carries the blocks of one source into the pipeline and its bans to the enforcer."""

    def __init__(
        self, source: Source, pipeline: Pipeline, enforcer: Enforcer, on_read: Callable[[], None]
    ) -> None:
        self.source = source
        self._pipeline, self._enforcer, self._on_read = pipeline, enforcer, on_read

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
                    self._enforcer.apply(bans)
                self._on_read()


def recall_position(ledger: Ledger, source: str) -> Position | None:
    """Return the saved place of a source; without one it starts at the window's beginning."""
    try:
        return ledger.load_position(source)
    except LedgerError as error:
        _log.error("The place in %s could not be recalled: %s", source, error)
        return None
