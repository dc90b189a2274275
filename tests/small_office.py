# A daemon's office without the daemon: enough for the control socket and the commands.
import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pyfilter import detection
from pyfilter.addresses import Address, Network
from pyfilter.control.operations import Operations
from pyfilter.control.place import Place
from pyfilter.control.ring import Ring
from pyfilter.control.server import Server
from pyfilter.enforcer import Enforcer
from pyfilter.errors import SettingsError
from pyfilter.firewalls.observe import ObservingFirewall
from pyfilter.ledger import Memory
from pyfilter.matching.rule import Rule
from pyfilter.model import Allowance, Ban, Decision, Event, Limits, Release, SourceState
from pyfilter.pipeline import Pipeline, Watch
from pyfilter.protection import Protection
from pyfilter.settings.tree import RuleSettings, Settings

NOW = 1_795_413_600.0  # 2026-11-23T06:00:00Z


class Herald:
    """Tells the ring of decisions."""

    name = "ring"

    def __init__(self, ring: Ring) -> None:
        self._ring = ring

    def tell(self, decision: Decision) -> None:
        self._ring.add((decision,))


class SmallSource:
    def __init__(self, state: SourceState) -> None:
        self._state = state

    def state(self) -> SourceState:
        return self._state


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
        self.time = NOW
        self.ledger = Memory().open()
        self.ledger.tally({("sshd", int(NOW) // 3600): (12, 2)})
        self.protection = Protection(("127.0.0.0/8",))
        firewall = ObservingFirewall()
        firewall.name = "nftables"  # it shall count as one that blocks
        self.enforcer = Enforcer(self.ledger, firewall, self.protection, self.now)
        self.enforcer.notifiers.append(Herald(self.ring))
        self.pipeline = Pipeline("web01", self.enforcer.standing, self.ledger.histories)
        self.pipeline.watches = {"sshd": Watch(rule.limits, detection.open(rule.limits))}
        auth = SourceState("/var/log/auth.log", "ok", "", 1234, NOW - 2)
        self.sources: dict[str, SmallSource] = {"/var/log/auth.log": SmallSource(auth)}
        self.countries = SmallCountries()
        self.fleet = None
        self.broken = ""  # what a reload complains of

    def now(self) -> float:
        return self.time

    def allow(self, *allowances: Allowance) -> None:
        self.protection.allowances |= {one.entry: one for one in allowances}
        self.protection.rebuild()

    def disallow(self, entry: str) -> bool:
        return self.protection.allowances.pop(entry, None) is not None

    def examine(self) -> Iterator[str]:
        yield from ("", "rule sshd misreads 'x': []")

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
        self.pipeline.failures["sshd"] += times
        self.pipeline.watches["sshd"].detector.observe(events)
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
