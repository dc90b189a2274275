# What flows: Block -> Event -> Offence -> Ban | Release. Values only; nothing here does anything.
import math
from typing import Literal

from msgspec import Struct

from pyfilter.addresses import Address, Network

AT_ONCE = math.inf  # the weight of an event that bans by itself


class Block(Struct, frozen=True, gc=False):
    """A run of whole log lines as read from one source."""

    source: str
    data: bytes  # whole lines, each ended by a newline
    read_at: float  # seconds since the epoch on the daemon's steady clock
    live: bool = True  # written while we watched; else the line's own time counts
    again: bool = False  # read before in an earlier life: rebuilds counts, is no new statistic


class Event(Struct, frozen=True, gc=False):
    """One thing an address did."""

    rule: str
    address: Address
    at: float
    weight: float = 1.0  # 0: not a failure (a login); AT_ONCE: bans by itself
    user: str = ""
    line: bytes = b""  # without its newline
    kind: str = "auth"
    pid: str = ""  # of the serving process and
    port: str = ""  # of the peer: together they tell one connection from another
    echo: bool = False  # one more line of an attempt: counts only if the connection has not counted


class Offence(Struct, frozen=True, gc=False):
    """Too much of it from one subject."""

    rule: str
    subject: Network
    at: float
    evidence: tuple[Event, ...] = ()


class Ban(Struct, frozen=True, gc=False, tag="ban"):
    """Block it."""

    subject: Network
    since: float
    until: float | None  # None: for ever
    reason: str
    rule: str = ""
    strike: int = 1
    origin: str = ""  # the server that decided, or "operator"
    by: str = ""  # the person, where one decided
    observe: bool = False  # say it, do not do it
    evidence: tuple[Event, ...] = ()


class Release(Struct, frozen=True, gc=False, tag="release"):
    """Let it through."""

    subject: Network
    at: float
    cause: str  # expired, operator, local (here only), allowlist, blacklist, fleet
    origin: str = ""
    by: str = ""


Decision = Ban | Release


class History(Struct, frozen=True, gc=False):
    """What the ledger remembers of a subject."""

    strikes: int = 0
    last_banned: float = 0.0
    last_released: float = 0.0


class Position(Struct, frozen=True, gc=False):
    """How far a source has been read."""

    source: str
    token: (
        str  # device + inode + offset + fingerprint, or a journal place; only its source reads it
    )


class Allowance(Struct, frozen=True):
    """An entry of the allowlist made at run time."""

    entry: str  # address, network or host name
    until: float | None = None
    note: str = ""
    by: str = ""


class SourceState(Struct, frozen=True):
    """What `status` shows of a source."""

    source: str
    state: str  # ok, waiting, denied, blind
    detail: str = ""
    lines: int = 0
    last_line: float | None = None
    lag: int = 0  # bytes written and not yet read


class Blocked(Struct, frozen=True, gc=False):
    """What the kernel holds of one subject."""

    subject: Network
    remaining: float | None  # seconds; None: for ever
    packets: int = 0


class Limits(Struct, frozen=True):
    """What a rule tolerates and what it answers with; durations in seconds, -1 is for ever."""

    maxretry: int = 5
    findtime: float = 600.0  # window counting: the time in which maxretry failures ban
    counting: Literal["window", "streak"] = "window"
    request_time: float = 5.0  # streak counting: the longest gap between one failure and the next
    bantime: float = 3600.0
    bantime_increment: bool = True
    bantime_max: float = 30 * 86400.0
    ipv6_prefix: int = 64
