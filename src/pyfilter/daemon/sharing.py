# Makes the server a member of its fleet, when the settings name one.
import logging
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

from pyfilter.addresses import Address, Network
from pyfilter.daemon.parts import Parts, server_name
from pyfilter.durations import FOREVER
from pyfilter.errors import FleetError, LedgerError
from pyfilter.fleet.allowances import Allowances, Ledge
from pyfilter.fleet.counting import Counting, Desk
from pyfilter.fleet.limits import Limits
from pyfilter.fleet.link import open_client
from pyfilter.fleet.member import Member
from pyfilter.fleet.seat import Seat
from pyfilter.fleet.store import Store
from pyfilter.model import Event, Position, Release
from pyfilter.settings import Settings
from pyfilter.settings.tree import FleetSettings

_log = logging.getLogger(__name__)
_NUMBERS = "fleet"  # the place in the ledger where the newest numbers of all servers are kept
_ALLOWED = "fleet allowlist"  # the place of the entries that the fleet shares
_OURS = {"expired", "local", "allowlist"}  # causes of releases that are nobody else's
_BACK = 20  # decisions of one subject in which its latest release for everybody is looked for


def join(settings: Settings, parts: Parts) -> Member | None:
    """Return this server as a member of its fleet; raises FleetError when it cannot be one."""
    fleet = settings.fleet
    if fleet is None or not (fleet.redis or fleet.sentinels):
        return None
    key = _key(fleet)
    seat = Seat(
        name=fleet.name or server_name(settings),
        key=key,
        open_store=partial(_store, fleet, key),
        apply=parts.enforcer.apply,
        bans=parts.enforcer.bans,
        standing=parts.enforcer.standing.get,
        released_at=partial(_released_at, parts),
        clock=parts.clock,
        check_time=fleet.check_time,
        lifted_at=partial(_lifted_at, parts),
        protected=parts.enforcer.protected,
        recall=partial(_recall, parts, _NUMBERS),
        remember=partial(_remember, parts, _NUMBERS),
        connected=parts.guard.look_around,
        allowances=_allowances(parts, key),
        counting=_counting(settings, parts, key) if fleet.count else None,
    )
    seat.open_store()  # connects nowhere, but a wrong address is told at once
    return Member(seat, Limits(_longest(settings)))


def rehearse(settings: Settings) -> None:
    """Try what a configuration says of the fleet, without any connection; raises FleetError."""
    if settings.fleet is not None:
        _store(settings.fleet, read_key(settings.fleet.key_file))


def _key(fleet: FleetSettings) -> bytes:
    key = read_key(fleet.key_file)
    if not key:
        _log.warning(
            "The fleet has no key_file: whoever can write to Redis can ban and release. "
            "`pyfilter fleet key` prints a key"
        )
    return key


def _counting(settings: Settings, parts: Parts, key: bytes) -> Counting:
    """Return the counting over the fleet, which from now on hears of every event."""
    pipeline, enforcer = parts.pipeline, parts.enforcer

    def count(events: Sequence[Event]) -> None:
        known = [event for event in events if event.rule in pipeline.watches]
        enforcer.apply(pipeline.decide(known, parts.clock()))

    def silent(address: Address) -> bool:
        host = Network(address)
        return host in enforcer.standing or enforcer.protected(host) is not None

    limits = [settings.defaults, *(rule.limits for rule in settings.rules.values())]
    span = max(one.findtime for one in limits)
    desk = Desk(server_name(settings), key, span, parts.clock, count, silent)
    counting = Counting(desk)
    pipeline.listeners.append(counting.witness)
    pipeline.weigh = counting.campaigns.weigh
    return counting


def _store(fleet: FleetSettings, key: bytes) -> Store:
    client, patient = (
        open_client(
            fleet.redis,
            sentinels=fleet.sentinels,
            master=fleet.master,
            cluster=fleet.cluster,
            ca_file=fleet.ca_file,
            patient=patient,
        )
        for patient in (False, True)
    )
    return Store(client, patient, fleet.prefix, key)


def _released_at(parts: Parts, subject: Network) -> float:
    try:
        return parts.ledger.history(subject).last_released
    except LedgerError:
        return 0.0


def _lifted_at(parts: Parts, subject: Network) -> float:
    """Return when a subject was last released for the whole fleet; 0: never."""
    try:
        past = parts.ledger.past(subject=subject, limit=_BACK)
    except LedgerError:
        return 0.0
    lifted = (d.at for _, d in past if isinstance(d, Release) and d.cause not in _OURS)
    return max(lifted, default=0.0)


def _allowances(parts: Parts, key: bytes) -> Allowances:
    recall, remember = partial(_recall, parts, _ALLOWED), partial(_remember, parts, _ALLOWED)
    return Allowances(
        Ledge(parts.guard.allow, parts.guard.disallow, recall, remember), key, parts.clock()
    )


def _recall(parts: Parts, place: str) -> str:
    try:
        position = parts.ledger.load_position(place)
    except LedgerError:
        return ""
    return position.token if position else ""


def _remember(parts: Parts, place: str, text: str) -> None:
    with suppress(LedgerError):  # the next time has the same and more
        parts.ledger.save_positions([Position(place, text)])


def _longest(settings: Settings) -> float | None:
    """Return the longest ban that local policy knows, in seconds; None: for ever."""
    limits = (settings.defaults, *(rule.limits for rule in settings.rules.values()))
    if any(FOREVER in {one.bantime, one.bantime_max} for one in limits):
        return None
    return max(max(one.bantime, one.bantime_max) for one in limits)


def read_key(path: str) -> bytes:
    """Return the fleet's key from its file; empty without one. Raises FleetError."""
    if not path:
        return b""
    try:
        key = bytes.fromhex(Path(path).read_text().strip())
    except OSError as error:
        raise FleetError(f"[fleet] key_file {path}: {error.strerror}") from None
    except ValueError:
        raise FleetError(f"[fleet] key_file {path}: it must hold 64 hex digits") from None
    if len(key) < 32:
        raise FleetError(f"[fleet] key_file {path}: a key has 32 bytes; this one has {len(key)}")
    return key
