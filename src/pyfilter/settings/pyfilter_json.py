# settings: reads a config.json of the original PyFilter, with a few keys of our own.
from pathlib import Path
from urllib.parse import quote

from pyfilter.durations import FOREVER
from pyfilter.errors import SettingsError
from pyfilter.firewalls import AnyFirewall
from pyfilter.model import Limits
from pyfilter.notifiers import Console
from pyfilter.settings import json_text
from pyfilter.settings.firewall import NAMES, firewall
from pyfilter.settings.json_rules import read_rules
from pyfilter.settings.library import Library
from pyfilter.settings.limits import entry, read_entries
from pyfilter.settings.section import Section
from pyfilter.settings.surroundings import Surroundings
from pyfilter.settings.tree import (
    BlacklistSettings,
    FleetSettings,
    GeoSettings,
    Settings,
)
from pyfilter.visible import visible

_DATABASES = ("sqlite", "redis")
_COUNT_MOST = 1_000_000
_PORT_MOST = 65535
_NAME_LONGEST = 64


def read(path: Path, text: str, around: Surroundings, library: Library) -> Settings:
    """Return the settings a config.json stands for; raises SettingsError."""

    def complain(keys: tuple[str, ...], reason: str) -> SettingsError:
        line = json_text.line_of(text, keys)
        return SettingsError(visible(f"{path}:{line}: {'.'.join(keys)}: {reason}"))

    top = Section(json_text.parse(str(path), text), complain)
    if "settings" not in top:
        raise top.missing("settings", "is missing; it holds the rules and what they tolerate")
    settings = _settings(top, path, around, library)
    top.done()
    return settings


def checkout_of(path: Path) -> Path:
    """Return the folder that relative paths start from: the one above `Config/`."""
    folder = path.absolute().parent
    return folder.parent if folder.name == "Config" else folder


def _settings(top: Section, path: Path, around: Surroundings, library: Library) -> Settings:
    main, checkout = top.section("settings"), checkout_of(path)
    limits = _limits(main)
    rules, warnings = read_rules(main.section("rules"), limits, library, checkout)
    name, fleet = _redis(top.section("redis"), main.choice("database", "sqlite", _DATABASES))
    settings = Settings(
        path=str(path),
        name=name,
        state_dir=_absolute(top, "state_dir", around.state),
        runtime_dir=_absolute(top, "runtime_dir", around.runtime),
        ledger=_sqlite(top.section("sqlite"), checkout),
        defaults=limits,
        ignoreip=read_entries(main, "ignored_ips", ()),
        reload=main.flag("reload_iptables", True),
        firewall=_firewall(main, around),
        rules=rules,
        fleet=fleet,
        geo=_geo(top.section("geo"), checkout),
        notifiers=(_logging(top.section("logging"), checkout),),
        blacklist=_blacklist(path.absolute().parent),
        warnings=warnings,
    )
    main.done()
    return settings


def _limits(main: Section) -> Limits:
    bantime = main.seconds("ban_time", forever=True) if "ban_time" in main else FOREVER
    return Limits(
        counting="streak",
        maxretry=main.whole("failed_attempts", 5, 1, _COUNT_MOST),
        request_time=main.seconds("request_time", 5.0),
        bantime=bantime,
        bantime_increment=False,
        bantime_max=FOREVER,
    )


def _firewall(main: Section, around: Surroundings) -> AnyFirewall:
    name = main.choice("firewall", around.firewall, NAMES)
    action = main.choice("deny_type", "DROP", ("DROP", "REJECT"))
    return firewall(name, {"action": action.lower()})


def _path(section: Section, key: str, checkout: Path) -> str:
    path = section.text(key)
    if "\0" in path:
        raise section.must(key, "a path", path)
    return str(checkout / path) if path else ""


def _absolute(top: Section, key: str, default: str) -> str:
    path = top.text(key, default)
    if not path.startswith("/") or "\0" in path:
        raise top.must(key, "an absolute path", path)
    return path


def _sqlite(section: Section, checkout: Path) -> str:
    path = _path(section, "database", checkout)
    section.done()
    return ":memory:" if path.endswith("/:memory:") else path


def _geo(section: Section, checkout: Path) -> GeoSettings:
    settings = GeoSettings(database=_path(section, "database", checkout))
    section.done()
    return settings


def _logging(section: Section, checkout: Path) -> Console:
    active = section.flag("active", True)
    directory = section.text("directory", "Log")
    section.done()
    return Console(directory=str(checkout / directory) if active and directory else "")


def _blacklist(folder: Path) -> BlacklistSettings:
    return BlacklistSettings(v4=str(folder / "blacklist.v4"), v6=str(folder / "blacklist.v6"))


def _redis(section: Section, database: str) -> tuple[str, FleetSettings | None]:
    sync = section.section("sync_bans")
    name = sync.text("name")
    if visible(name, _NAME_LONGEST) != name:
        raise sync.must("name", f"at most {_NAME_LONGEST} printable signs", name)
    fleet = FleetSettings(
        redis=_url(section),
        name=name,
        key_file=section.text("key_file"),
        ca_file=section.text("ca_file"),
        count=section.flag("count"),
        check_time=sync.seconds("check_time", 600.0),
    )
    shared = sync.flag("active", True) and database == "redis"
    sync.done()
    section.done()
    return name, fleet if shared else None


def _url(section: Section) -> str:
    host = section.text("host") or "127.0.0.1"
    number = section.raw("database", 0)
    if isinstance(number, str) and number.isascii() and number.isdigit():
        number = int(number)
    if isinstance(number, bool) or not isinstance(number, int) or number < 0:
        raise section.must("database", "the number of a Redis database", number)
    user, password = section.text("user"), section.text("password")
    port = section.whole("port", 6379, 1, _PORT_MOST)
    scheme = "rediss" if section.flag("tls") else "redis"
    login = f"{quote(user, '')}:{quote(password, '')}@" if user or password else ""
    if host.startswith("/"):
        return f"unix://{login}{host}?db={number}"
    return f"{scheme}://{login}{_bracketed(section, host)}:{port}/{number}"


def _bracketed(section: Section, host: str) -> str:
    try:
        canonical = entry(host)
    except SettingsError:
        canonical = "/"
    if "/" in canonical:
        raise section.must("host", "a host name, an address or the path of a socket", host)
    return f"[{canonical}]" if ":" in canonical else canonical
