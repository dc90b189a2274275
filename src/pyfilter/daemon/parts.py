# Opens what outlives a reload: ledger, firewall, protection, enforcer.
import logging
import socket
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from pyfilter import ledger as ledgers
from pyfilter.addresses import Network
from pyfilter.countries import Countries
from pyfilter.daemon.clock import SteadyClock
from pyfilter.daemon.guard import Guard
from pyfilter.enforcer import Enforcer, Reconciler
from pyfilter.errors import LedgerError
from pyfilter.firewalls import Observe
from pyfilter.interfaces import Firewall, Ledger
from pyfilter.pipeline import Pipeline
from pyfilter.protection import Protection
from pyfilter.settings import Settings

_log = logging.getLogger(__name__)
MEMORY = ":memory:"


class Parts(Struct, frozen=True):
    """The long-lived parts, ready to run."""

    clock: SteadyClock
    ledger: Ledger
    firewall: Firewall
    enforcer: Enforcer
    guard: Guard
    reconciler: Reconciler
    pipeline: Pipeline
    countries: Countries

    def sentence(self, subject: Network) -> str:
        """Return where an address is from, in the tutorial's words."""
        return self.countries.sentence(subject)


def observing(settings: Settings) -> Settings:
    """Return settings under which nothing is banned: every rule only says what it would do.

    The rules are marked too, so that no later run takes such a ban from ledger or blacklist for one
    in force, and no other server hears of it.
    """
    rules = {name: replace(rule, observe=True) for name, rule in settings.rules.items()}
    return replace(settings, firewall=Observe(), rules=rules)


def server_name(settings: Settings) -> str:
    """Return the name under which this server's decisions are known."""
    in_fleet = settings.fleet.name if settings.fleet else ""
    return in_fleet or settings.name or socket.gethostname()


def open_parts(settings: Settings) -> Parts:
    """Open everything and take up the bans of an earlier run; raises FirewallError."""
    clock = SteadyClock()
    ledger = open_ledger(settings)
    firewall = settings.firewall.open()
    enforcer = Enforcer(ledger, firewall, Protection(settings.ignoreip), clock)
    guard = Guard(enforcer)
    guard.load()
    if settings.reload:
        enforcer.recall()
    reconciler = Reconciler(enforcer)
    reconciler.start()
    guard.look_around()
    pipeline = Pipeline(server_name(settings), enforcer.standing, enforcer.histories)
    pipeline.listeners.append(guard.sessions.witness)
    countries = Countries(settings.geo.database)
    return Parts(clock, ledger, firewall, enforcer, guard, reconciler, pipeline, countries)


def open_ledger(settings: Settings) -> Ledger:
    """Open the ledger; where no file can be kept, remember in memory and say so."""
    place = settings.ledger or str(Path(settings.state_dir) / "pyfilter.db")
    if place == MEMORY:
        return ledgers.Memory().open()
    try:
        Path(place).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return ledgers.Sqlite(place).open()
    except (OSError, LedgerError) as error:
        _log.error("Bans are remembered in memory only, because %s: %s", place, error)
        return ledgers.Memory(f"remembers in memory only, because {place}: {error}").open()
