# A daemon's office without the daemon: enough for the control socket and the commands.
import asyncio
import math
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from msgspec import Struct

from pyfilter.addresses import Address, Network
from pyfilter.control.operations import Operations
from pyfilter.control.place import Place
from pyfilter.control.ring import Ring
from pyfilter.control.server import Server
from pyfilter.errors import SettingsError
from pyfilter.firewalls import Observe
from pyfilter.matching.rule import Rule
from pyfilter.model import (
    Allowance,
    Ban,
    Blocked,
    Decision,
    Event,
    History,
    Limits,
    Position,
    Release,
    SourceState,
)
from pyfilter.settings.tree import RuleSettings, Settings

NOW = 1_795_413_600.0  # 2026-11-23T06:00:00Z


class Done(Struct, frozen=True):
    decision: Decision
    done: bool = True
    reason: str = ""


class State(Struct, frozen=True):
    name: str = "observe"
    health: str = "ok"
    expected: int = 0
    held: int = 0
    repairs: int = 0


class SmallLedger:
    """Remembers decisions in a list."""

    def __init__(self) -> None:
        self.decisions: list[Decision] = []

    def record(self, decisions: Sequence[Decision]) -> None:
        self.decisions += decisions

    def active(self, at: float) -> list[Ban]:
        return [d for d in self.decisions if isinstance(d, Ban) and (d.until or math.inf) > at]

    def evidence(self, subject: Network) -> tuple[Event, ...]:
        return ()

    def history(self, subject: Network) -> History:
        return History(sum(isinstance(d, Ban) for d in self.decisions if d.subject == subject))

    def past(
        self, *, subject: Network | None = None, rule: str = "", before: int = 0, limit: int = 100
    ) -> list[tuple[int, Decision]]:
        found = [
            (number, decision)
            for number, decision in enumerate(self.decisions, 1)
            if subject in {None, decision.subject} and (not before or number < before)
        ]
        return found[::-1][:limit]

    def tally(self, counts: Mapping[tuple[str, int], tuple[int, int]]) -> None: ...

    def counts(self, since_hour: int) -> dict[str, tuple[int, int]]:
        return {"sshd": (12, 2)}

    def save_positions(self, positions: Iterable[Position]) -> None: ...

    def load_position(self, source: str) -> Position | None:
        return None

    def allow(self, allowance: Allowance) -> None: ...

    def disallow(self, entry: str) -> bool:
        return False

    def allowances(self, at: float) -> list[Allowance]:
        return []

    def purge(self, before: float) -> None: ...

    def health(self) -> str:
        return "ok"

    def close(self) -> None: ...


class SmallEnforcer:
    """Applies to the observing firewall; protects loopback."""

    def __init__(self, ledger: SmallLedger, ring: Ring) -> None:
        self.ledger, self.ring = ledger, ring
        self.firewall = Observe().open()
        self.in_force: dict[Network, Ban] = {}

    def apply(self, decisions: Sequence[Decision], *, force: bool = False) -> list[Done]:
        self.ledger.record(decisions)
        self.firewall.apply(decisions, NOW)
        self.ring.add(decisions)
        for decision in decisions:
            if isinstance(decision, Ban):
                self.in_force[decision.subject] = decision
            else:
                self.in_force.pop(decision.subject, None)
        return [Done(decision) for decision in decisions]

    def bans(self) -> list[Ban]:
        return list(self.in_force.values())

    async def blocked(self) -> dict[Network, Blocked]:
        return self.firewall.blocked()

    def protected(self, subject: Network) -> str | None:
        return "an address that no peer can have" if subject.startswith("127.") else None

    def state(self) -> State:
        return State(expected=len(self.in_force), held=len(self.firewall.blocked()))


class SmallPipeline:
    def __init__(self) -> None:
        self.events: list[Event] = []

    @property
    def statistics(self) -> dict[str, tuple[int, int]]:
        return {"sshd": (len(self.events), 0)}

    def score(self, subject: Network) -> dict[str, float]:
        return {"sshd": float(len(self.recent(subject)))}

    def recent(self, subject: Network) -> tuple[Event, ...]:
        return tuple(event for event in self.events if str(event.address) == subject)


class SmallSource:
    def __init__(self, state: SourceState) -> None:
        self._state = state

    def state(self) -> SourceState:
        return self._state


class SmallProtection:
    def __init__(self) -> None:
        self.configured: tuple[str, ...] = ("127.0.0.0/8",)
        self.allowances: dict[str, Allowance] = {}


class SmallCountries:
    def code(self, address: Address) -> str | None:
        return "GB" if address.startswith("203.0.113.") else None


class SmallOffice:
    """Everything in memory, at one moment that the test moves."""

    def __init__(self) -> None:
        rule = RuleSettings(Rule("sshd", "OpenSSH server"), Limits())
        self.settings = Settings("/etc/pyfilter/pyfilter.toml", "web01", rules={"sshd": rule})
        self.started = NOW - 3600
        self.ring = Ring()
        self.ledger = SmallLedger()
        self.enforcer = SmallEnforcer(self.ledger, self.ring)
        self.pipeline = SmallPipeline()
        auth = SourceState("/var/log/auth.log", "ok", "", 1234, NOW - 2)
        self.sources: dict[str, SmallSource] = {"/var/log/auth.log": SmallSource(auth)}
        self.protection = SmallProtection()
        self.countries = SmallCountries()
        self.fleet = None
        self.time = NOW
        self.broken = ""  # what a reload complains of

    def now(self) -> float:
        return self.time

    def allow(self, allowance: Allowance) -> None:
        self.protection.allowances[allowance.entry] = allowance

    def disallow(self, entry: str) -> bool:
        return self.protection.allowances.pop(entry, None) is not None

    def rules_of(self, source: str) -> list[str]:
        return ["sshd"]

    async def reload(self) -> list[str]:
        if self.broken:
            raise SettingsError(self.broken)
        return ["rule sshd: nothing to read yet"]

    def fail(self, address: str, times: int = 1, user: str = "root") -> tuple[Event, ...]:
        """Let an address fail at sshd; return its events."""
        line = f"Failed password for {user} from {address} port 4711 ssh2".encode()
        events = tuple(
            Event("sshd", Address(address), self.time + n, user=user, line=line)
            for n in range(times)
        )
        self.pipeline.events += events
        self.ring.add(events)
        return events

    def ban(self, subject: str, seconds: float | None = 3600, origin: str = "web01") -> Ban:
        """Let sshd's rule ban a subject."""
        until = None if seconds is None else self.time + seconds
        ban = Ban(
            Network(subject),
            self.time,
            until,
            "5 failures in 10m",
            "sshd",
            origin=origin,
            evidence=self.fail(subject, 5) if "/" not in subject else (),
        )
        self.enforcer.apply([ban])
        return ban

    def lift(self, subject: str) -> None:
        self.enforcer.apply([Release(Network(subject), self.time, "operator", "operator", "root")])


@contextmanager
def served(office: SmallOffice, folder: Path) -> Iterator[Path]:
    """Serve an office from a thread; yield its socket."""
    ready = threading.Event()
    stop: list[Callable[[], object]] = []
    place = Place(folder)

    async def serve() -> None:
        server = Server(Operations(office), place)
        await server.open()
        end, loop = asyncio.Event(), asyncio.get_running_loop()
        stop.append(lambda: loop.call_soon_threadsafe(end.set))
        ready.set()
        await end.wait()
        await server.close()

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    ready.wait(10)
    yield place.socket_path
    stop[0]()
    thread.join()
    place.close()
