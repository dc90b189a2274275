# The running daemon: its tasks, its signals, its reload.
import asyncio
import gc
import logging
import signal
from collections.abc import Coroutine
from contextlib import suppress

from pyfilter import detection
from pyfilter.blacklist import Blacklist
from pyfilter.control.operations import Operations
from pyfilter.control.place import Place
from pyfilter.control.ring import Ring
from pyfilter.control.server import Server
from pyfilter.daemon.clerk import Clerk
from pyfilter.daemon.duties import Duties, assign, merged, notes
from pyfilter.daemon.keeper import Keeper
from pyfilter.daemon.office import DaemonOffice, Herald
from pyfilter.daemon.parts import Parts, observing, open_parts, server_name
from pyfilter.daemon.reader import Reader
from pyfilter.daemon.sd_notify import tell_systemd, watchdog_interval
from pyfilter.daemon.sharing import join
from pyfilter.errors import LedgerError, PyfilterError
from pyfilter.firewalls import Observe
from pyfilter.model import Allowance
from pyfilter.notifiers import Spoken
from pyfilter.settings import Settings, load

_log = logging.getLogger(__name__)
_MOVED = "what [fleet] says now holds from the next start of the daemon on"
_NEVER = 1 << 30
_TIDY_AFTER = 0.2  # seconds
_SAVE_AFTER = 1.0  # seconds; what a crash can make us read again


class Daemon:
    """Everything that runs, and what a reload exchanges."""

    def __init__(self, settings: Settings, parts: Parts) -> None:
        self.settings, self.parts = settings, parts
        self.started = parts.clock()
        self.duties = Duties({}, {}, {})
        self._room = detection.Room()
        self._tasks: set[asyncio.Task[None]] = set()
        self._readers: dict[str, asyncio.Task[None]] = {}
        self._stop = asyncio.Event()
        self.failure: BaseException | None = None
        self._saving: asyncio.TimerHandle | None = None
        self._tidying = False
        self.speakers = [
            notifier.open(server_name(settings), parts.sentence) for notifier in settings.notifiers
        ]

    async def run(self, server: Server, *more: Coroutine[None, None, None]) -> None:
        """Run until SIGTERM or SIGINT; bans stay in force."""
        self._listen_to_signals()
        keeper = Keeper(self.parts.reconciler, self.parts.guard, self.parts.pipeline)
        self.take_over(assign(self.settings, self.parts.clock, self._room))
        await server.open()
        for part in (keeper.run(), self.parts.guard.resolve_for_ever(), _watchdog(), *more):
            self._start(part)
        tell_systemd("READY=1", f"STATUS=Guarding {', '.join(self.settings.rules)}")
        await self._stop.wait()
        tell_systemd("STOPPING=1")
        await server.close()
        await self._end(self._tasks | {*self._readers.values()})
        self.close()

    def _listen_to_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        loop.add_signal_handler(signal.SIGHUP, lambda: self._start(self._hup()))

    def _start(self, part: Coroutine[None, None, None]) -> None:
        """Run a part; one that fails in a way nobody foresaw ends the daemon, loudly."""
        task = asyncio.get_running_loop().create_task(part)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            self.failure = error
            self._stop.set()

    async def _end(self, tasks: set[asyncio.Task[None]]) -> None:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def take_over(self, duties: Duties) -> None:
        """Put new duties in place of the old; sources that stay are not interrupted."""
        before, self.duties = self.duties, merged(self.duties, duties)
        for name in before.sources.keys() - self.duties.sources.keys():
            self._readers.pop(name).cancel()
        pipeline = self.parts.pipeline
        pipeline.matchers, pipeline.watches = self.duties.matchers, self.duties.watches
        longest = max((w.limits.findtime for w in duties.watches.values()), default=0.0)
        for name in self.duties.sources.keys() - before.sources.keys():
            reader = Reader(self.duties.sources[name], pipeline, self.parts.enforcer, self._read)
            task = asyncio.get_running_loop().create_task(
                reader.run(self.parts.clock() - longest), name=f"read {name}"
            )
            self._readers[name] = task
            task.add_done_callback(self._ended)
        said = notes(self.settings)  # looks at the files that are named: once, not for each speaker
        for speaker in self.speakers:
            for rule in duties.unread:
                speaker.nothing_to_check(rule)
            for rule in [name for name in duties.watches if name not in duties.unread]:
                speaker.checking(rule)
            for note in said:
                speaker.say(note)
        _settle()

    def _read(self) -> None:
        """Save the places and tidy the ledger soon; once serves all that is read until then."""
        loop = asyncio.get_running_loop()
        if self._saving is None:
            self._saving = loop.call_later(_SAVE_AFTER, self.save)
        if not self._tidying:
            self._tidying = True
            loop.call_later(_TIDY_AFTER, self._tidy)

    def _tidy(self) -> None:
        """Let a thread tidy the ledger: a long log of changes is for the disk, not for a ban."""
        tidied = asyncio.get_running_loop().run_in_executor(None, self.parts.ledger.tidy)
        tidied.add_done_callback(self._tidied)

    def _tidied(self, _: asyncio.Future[None]) -> None:
        self._tidying = False

    def save(self) -> None:
        """Write down how far every source has been read."""
        self._saving = None
        places = [source.position() for source in self.duties.sources.values()]
        with suppress(LedgerError):  # the next save has the same and more
            self.parts.ledger.save_positions([place for place in places if place])
            self.parts.ledger.tally(self.parts.pipeline.take_tally(self.parts.clock()))

    async def reload(self) -> list[str]:
        """Take the configuration over anew, all or nothing; raises SettingsError or RuleError."""
        settings = load(self.settings.path or None)
        if self.parts.firewall.name == "observe":
            settings = observing(settings)
        duties = assign(settings, self.parts.clock, self._room)
        moved = settings.fleet != self.settings.fleet
        self.settings = settings
        self.take_over(duties)
        protection = self.parts.enforcer.protection
        protection.configured = settings.ignoreip
        protection.rebuild()
        self.parts.guard.show()
        self._start(self.parts.guard.resolve())
        return [*settings.warnings, *([_MOVED] if moved else [])]

    async def _hup(self) -> None:
        tell_systemd("RELOADING=1")
        try:
            await self.reload()
        except PyfilterError as error:
            _log.error("The old configuration stays in force: %s", error)
        tell_systemd("READY=1")

    def allow(self, *allowances: Allowance) -> None:
        """Protect entries from now on; a name is looked up in the background."""
        self.parts.guard.allow(*allowances)
        if {one.entry for one in allowances} & set(self.parts.enforcer.protection.names()):
            self._start(self.parts.guard.resolve())

    def close(self) -> None:
        """Save the places and free everything; bans stay in force."""
        self.save()
        for speaker in self.speakers:
            speaker.close()
        self.parts.firewall.close()
        self.parts.ledger.close()


def _settle() -> None:
    """Exempt what stays from garbage collection, and leave full ones to the sweeps.

    A full one walks through the counts, which takes 40 ms when there are a million; left to
    itself it comes every few seconds of a flood.
    """
    gc.set_threshold(gc.get_threshold()[0], gc.get_threshold()[1], _NEVER)
    gc.unfreeze()
    gc.collect()
    gc.freeze()


async def _watchdog() -> None:
    interval = watchdog_interval()
    while interval:
        tell_systemd("WATCHDOG=1")
        await asyncio.sleep(interval)


def run(settings: Settings, *, observe: bool = False) -> None:
    """Open the parts and run until told to stop; raises FirewallError, RuleError."""
    place = Place(settings.runtime_dir)
    try:
        if observe or isinstance(settings.firewall, Observe):
            settings = observing(settings)
        asyncio.run(_main(settings, place))
    finally:
        place.close()


async def _main(settings: Settings, place: Place) -> None:
    parts = open_parts(settings)
    daemon = Daemon(settings, parts)
    ring = Ring()
    parts.pipeline.listeners.append(ring.add)
    parts.enforcer.notifiers += [Herald(ring, parts.pipeline), *daemon.speakers]
    office = DaemonOffice(daemon, parts.countries, ring)
    more = _clerks(settings, parts)
    if member := join(settings, parts):
        parts.enforcer.notifiers.append(member)
        office.fleet = member
        more.append(member.run())
    log = logging.StreamHandler(Spoken(*(speaker.say for speaker in daemon.speakers)))
    logging.getLogger().addHandler(log)
    try:
        await daemon.run(Server(Operations(office), place), *more)
    finally:
        logging.getLogger().removeHandler(log)
    if daemon.failure:
        raise daemon.failure


def _clerks(settings: Settings, parts: Parts) -> list[Coroutine[None, None, None]]:
    files = settings.blacklist
    if not files.v4 and not files.v6:
        return []
    action = "drop" if isinstance(settings.firewall, Observe) else settings.firewall.action
    blacklist = Blacklist(files.v4, files.v6, action, settings.state_dir, parts.clock)
    clerk = Clerk(blacklist, parts.enforcer, settings.defaults.bantime)
    parts.enforcer.notifiers.append(clerk)
    return [clerk.run()]
