# settings: reads pyfilter.toml and the pyfilter.d/*.toml beside it.
import re
import tomllib
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from pyfilter.errors import SettingsError
from pyfilter.notifiers import AnyNotifier, Console, Lines
from pyfilter.settings.documents import Document
from pyfilter.settings.firewall import read_firewall
from pyfilter.settings.library import Library
from pyfilter.settings.limits import layered, read_entries, read_limits
from pyfilter.settings.lines import line_of
from pyfilter.settings.rules import read_rules
from pyfilter.settings.section import Section
from pyfilter.settings.surroundings import Surroundings
from pyfilter.settings.tree import (
    BlacklistSettings,
    FleetSettings,
    GeoSettings,
    Settings,
)
from pyfilter.visible import visible

_AT_LINE = re.compile(r" \(at line (\d+), column \d+\)$")
_SCHEMES = {"redis", "rediss", "unix"}
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,62}[A-Za-z0-9])?")
_PORT_MOST = 65535
LOOPBACK = ("127.0.0.0/8", "::1")


def read(documents: Sequence[Document], around: Surroundings, library: Library) -> Settings:
    """Return the settings that the documents, merged in order, add up to."""
    merged: dict[str, Any] = {}
    origins: dict[tuple[str, ...], Document] = {}
    for document in documents:
        _merge(merged, _parse(document), document, origins)

    def complain(path: tuple[str, ...], reason: str) -> SettingsError:
        document = next(
            (origins[path[:n]] for n in range(len(path), 0, -1) if path[:n] in origins),
            documents[0],
        )
        line = line_of(document.text, path)
        return SettingsError(visible(f"{document.path}:{line}: {'.'.join(path)}: {reason}"))

    return _settings(Section(merged, complain), documents[0].path, around, library)


def _parse(document: Document) -> dict[str, Any]:
    try:
        return tomllib.loads(document.text)
    except tomllib.TOMLDecodeError as error:
        reason = str(error)
        found = _AT_LINE.search(reason)
        line = int(found[1]) if found else document.text.count("\n") + 1
        reason = _AT_LINE.sub("", reason).removesuffix(" (at end of document)")
        raise SettingsError(visible(f"{document.path}:{line}: {reason}")) from None


def _merge(
    into: dict[str, Any],
    table: dict[str, Any],
    document: Document,
    origins: dict[tuple[str, ...], Document],
    path: tuple[str, ...] = (),
) -> None:
    for key, value in table.items():
        here = (*path, key)
        origins[here] = document
        if isinstance(value, dict):
            deeper = into.setdefault(key, {})
            if isinstance(deeper, dict):
                _merge(deeper, value, document, origins, here)
                continue
        into[key] = value


def _settings(top: Section, path: str, around: Surroundings, library: Library) -> Settings:
    defaults = top.section("defaults")
    common = read_limits(defaults)
    ignoreip = read_entries(defaults, "ignoreip", LOOPBACK)
    defaults.done()
    fleet = _fleet(top.section("fleet")) if "fleet" in top else None
    rules = read_rules(top.section("rules"), common, library)
    settings = Settings(
        path=path,
        name=_name(top, "name") or (fleet.name if fleet else ""),
        state_dir=_absolute(top, "state_dir", around.state),
        runtime_dir=_absolute(top, "runtime_dir", around.runtime),
        ledger=_ledger(top),
        defaults=layered(common),
        ignoreip=ignoreip,
        reload=top.flag("reload", True),
        firewall=read_firewall(top.section("firewall")),
        rules=rules,
        fleet=fleet,
        geo=_geo(top.section("geo")),
        notifiers=_console(top.section("console")),
        blacklist=_blacklist(top.section("blacklist")),
        warnings=() if rules else (f"{path}: no rule is on; name one, for instance [rules.sshd]",),
    )
    top.done()
    return settings


def _name(section: Section, key: str) -> str:
    name = section.text(key)
    if name and not _NAME.fullmatch(name):
        raise section.must(key, "up to 64 letters, digits, dots, hyphens or underscores", name)
    return name


def _absolute(section: Section, key: str, default: str = "") -> str:
    path = section.text(key, default)
    if path != default and (not path.startswith("/") or "\0" in path):
        raise section.must(key, "an absolute path", path)
    return path


def _ledger(top: Section) -> str:
    if top.raw("ledger") == ":memory:":
        return ":memory:"
    return _absolute(top, "ledger")


def _fleet(section: Section) -> FleetSettings:
    settings = FleetSettings(
        redis=_redis(section),
        sentinels=_sentinels(section),
        master=section.text("master"),
        cluster=section.flag("cluster"),
        name=_name(section, "name"),
        key_file=_absolute(section, "key_file"),
        ca_file=_absolute(section, "ca_file"),
        count=section.flag("count"),
        prefix=section.text("prefix", "pyfilter:"),
        check_time=section.seconds("check_time") if "check_time" in section else 0.0,
    )
    section.done()
    if not settings.redis and not settings.sentinels:
        raise section.wrong("redis", "the fleet needs either redis or sentinels")
    if settings.sentinels and not settings.master:
        raise section.wrong("master", "sentinels need the name of the master")
    return settings


def _redis(section: Section) -> str:
    url = section.text("redis")
    try:
        parts = urlsplit(url)
        port_known = parts.port != 0
    except ValueError:
        port_known = False
    if url and not (port_known and parts.scheme in _SCHEMES and (parts.hostname or parts.path)):
        raise section.wrong("redis", "must be a redis://, rediss:// or unix:// address")
    return url


def _sentinels(section: Section) -> tuple[str, ...]:
    listed = section.texts("sentinels")
    for one in listed:
        host, _, port = one.rpartition(":")
        if not (host and port.isascii() and port.isdigit() and 0 < int(port) <= _PORT_MOST):
            raise section.must("sentinels", 'a list of "HOST:PORT"', one)
    return listed


def _geo(section: Section) -> GeoSettings:
    settings = GeoSettings(database=_absolute(section, "database"))
    section.done()
    return settings


def _console(section: Section) -> tuple[AnyNotifier, ...]:
    active, directory = section.flag("active"), _absolute(section, "directory")
    section.done()
    return (Console(directory=directory),) if active else (Lines(),)


def _blacklist(section: Section) -> BlacklistSettings:
    settings = BlacklistSettings(v4=_absolute(section, "v4"), v6=_absolute(section, "v6"))
    section.done()
    return settings
