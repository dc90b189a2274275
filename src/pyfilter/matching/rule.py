# What a rule is, as written in rules/*.toml or in the user's configuration.
from typing import Any, Literal

from msgspec import Struct

Found = Literal["time", "ip", "host", "user", "url", "status", "either", "content", "nothing", ""]


class Pattern(Struct, frozen=True, forbid_unknown_fields=True):
    """One kind of line; `match` describes the whole message, placeholders and all."""

    match: str
    kind: str = "auth"
    weight: float = 1.0  # 0: no failure (a login, for instance)
    echo: bool = False  # one more line of an attempt: counts only if its connection has not counted
    ban: bool = False  # bans at once
    # An expression of an original PyFilter: `match` is a regular expression that is searched for,
    # and its groups mean, in order: time, ip, url, status, or either (a time or the address).
    # Expressions taken over from elsewhere may also have host, user and "" (nothing).
    # "nothing": where that group holds text, the line is no failure, whatever else it says.
    groups: tuple[Found, ...] = ()
    slow: bool = False  # with groups: a line may make it slow: it is searched on a budget


class Sample(Struct, frozen=True, forbid_unknown_fields=True):
    """A line and what must come out of it; a line with neither ip nor kind must not match."""

    line: str
    ip: str | None = None
    user: str | None = None
    kind: str | None = None
    time: str | None = None
    hostile: bool = False  # an attacker wrote a free field of it
    also: tuple[str, ...] = ()  # rules other than this one that rightly match it too


class Rule(Struct, frozen=True, forbid_unknown_fields=True):
    """A service: what its failures look like, where it logs, what its limits are."""

    name: str
    title: str = ""
    format: Literal["syslog", "line", "json", "cut"] = "line"
    tags: tuple[str, ...] = ()  # syslog identifiers; of a line or JSON: if it has a header
    fields: dict[str, str] = {}  # json: placeholder -> name of the field
    prefix: str = ""  # what stands before every message: put behind the ^ of each pattern
    include: tuple[str, ...] = ()  # rules that come along whose patterns are this rule's, too
    broken: str = ""  # what tells the last line of a message that a visitor put line breaks into
    patterns: tuple[Pattern, ...] = ()
    ignore: tuple[str, ...] = ()  # messages that never match, whatever patterns say
    samples: tuple[Sample, ...] = ()
    kinds: tuple[str, ...] = ()  # on when the user names none; empty: all
    logpath: tuple[str, ...] = ()  # usual files and globs, the likeliest first
    porous: tuple[str, ...] = ()  # globs of logs, never usual ones, that visitors write lines into
    journal: tuple[str, ...] = ()  # journal matches on trusted fields, any of which is enough
    prefer: Literal["journal", "file"] = "journal"  # of the two; all usual files, or the journal
    ports: tuple[str, ...] = ()
    stamp: tuple[str, ...] = ()  # cut: where the time stands that is cut out; the first that fits
    content: Pattern | None = None  # cut: a line must fit it; its group "content" is what is read
    time_format: str = ""  # of the time in expressions of an original PyFilter (strptime)
    statuses: tuple[str, ...] = ()  # of those, the HTTP status must be one of these
    limits: dict[str, Any] = {}  # this rule's own defaults for model.Limits
    fail2ban: tuple[str, ...] = ()  # what fail2ban and
    crowdsec: tuple[str, ...] = ()  # CrowdSec call it
