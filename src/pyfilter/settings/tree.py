# The settings tree: what the daemon is told, whichever file it was read from.
from msgspec import Struct

from pyfilter.firewalls import AnyFirewall, Nftables
from pyfilter.matching.rule import Rule
from pyfilter.model import Limits
from pyfilter.notifiers import AnyNotifier, Lines


class RuleSettings(Struct, frozen=True):
    """A rule that is on: the rule itself, where to read, what to tolerate."""

    rule: Rule
    limits: Limits = Limits()
    logpath: tuple[str, ...] | None = None  # None: find it; ("-",): standard input; (): none
    fallback: bool = False  # read the journal while none of logpath is there
    observe: bool = False
    ignoreip: tuple[str, ...] = ()  # never banned by this rule, besides those never banned at all


class FleetSettings(Struct, frozen=True):
    redis: str = ""
    sentinels: tuple[str, ...] = ()
    master: str = ""
    cluster: bool = False
    name: str = ""
    key_file: str = ""
    ca_file: str = ""
    count: bool = False
    prefix: str = "pyfilter:"
    check_time: float = 0.0  # seconds between reconciles; 0: by notification alone


class GeoSettings(Struct, frozen=True):
    database: str = ""  # empty: the bundled one


class BlacklistSettings(Struct, frozen=True):
    v4: str = ""  # empty: no such file is kept
    v6: str = ""


class Settings(Struct, frozen=True):
    """Everything the daemon is told."""

    path: str = ""  # the file it came from
    name: str = ""  # of this server; empty: the host name
    state_dir: str = "/var/lib/pyfilter"
    runtime_dir: str = "/run/pyfilter"
    ledger: str = ""  # empty: state_dir/pyfilter.db; ":memory:": forget at exit
    defaults: Limits = Limits()
    ignoreip: tuple[str, ...] = ("127.0.0.0/8", "::1")
    reload: bool = True  # take bans of an earlier run up again at start
    firewall: AnyFirewall = Nftables()
    rules: dict[str, RuleSettings] = {}
    fleet: FleetSettings | None = None
    geo: GeoSettings = GeoSettings()
    notifiers: tuple[AnyNotifier, ...] = (Lines(),)
    blacklist: BlacklistSettings = BlacklistSettings()
    warnings: tuple[str, ...] = ()  # what a person should know, yet is no error
