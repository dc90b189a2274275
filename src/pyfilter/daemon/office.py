# The daemon as the control socket sees it (control.office.Office).
from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from pyfilter.control.office import Locating, Sharing
from pyfilter.control.ring import Ring
from pyfilter.daemon.duties import Duties, examined
from pyfilter.daemon.parts import Parts
from pyfilter.enforcer import Enforcer
from pyfilter.interfaces import Ledger, Source
from pyfilter.model import Allowance, Decision, Release
from pyfilter.pipeline import Pipeline
from pyfilter.protection import Protection
from pyfilter.settings import Settings


class Running(Protocol):
    """What the office shows of a daemon."""

    settings: Settings
    started: float
    parts: Parts
    duties: Duties

    def allow(self, *allowances: Allowance) -> None: ...

    async def reload(self) -> list[str]: ...


class DaemonOffice:
    """Shows the parts of a running daemon, whatever a reload has exchanged."""

    def __init__(self, daemon: Running, countries: Locating, ring: Ring) -> None:
        self._daemon = daemon
        self.countries = countries
        self.ring = ring
        self.fleet: Sharing | None = None

    @property
    def settings(self) -> Settings:
        return self._daemon.settings

    @property
    def started(self) -> float:
        return self._daemon.started

    @property
    def enforcer(self) -> Enforcer:
        return self._daemon.parts.enforcer

    @property
    def pipeline(self) -> Pipeline:
        return self._daemon.parts.pipeline

    @property
    def ledger(self) -> Ledger:
        return self._daemon.parts.ledger

    @property
    def sources(self) -> Mapping[str, Source]:
        return self._daemon.duties.sources

    @property
    def protection(self) -> Protection:
        return self._daemon.parts.enforcer.protection

    def rules_of(self, source: str) -> Sequence[str]:
        return [reader.rule.name for reader in self._daemon.duties.matchers[source].readers]

    def now(self) -> float:
        return self._daemon.parts.clock()

    def allow(self, *allowances: Allowance) -> None:
        self._daemon.allow(*allowances)

    def disallow(self, entry: str) -> bool:
        return self._daemon.parts.guard.disallow(entry)

    def examine(self) -> Iterator[str]:
        return examined(self._daemon.duties, self._daemon.parts.clock())

    async def reload(self) -> Sequence[str]:
        return await self._daemon.reload()


class Herald:
    """Tells the daemon's own parts of every decision: the ring and the counts."""

    name = "herald"

    def __init__(self, ring: Ring, pipeline: Pipeline) -> None:
        self._ring, self._pipeline = ring, pipeline

    def tell(self, decision: Decision) -> None:
        self._ring.add((decision,))
        if isinstance(decision, Release) and decision.cause != "expired":
            self._pipeline.drop(decision.subject)
