# fail2ban: the bans in force of its SQLite base, as bans of ours.
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from pyfilter.addresses import Network, network
from pyfilter.cli.fail2ban.files import read
from pyfilter.cli.original import Taken
from pyfilter.errors import AddressError, RefusedError
from pyfilter.model import Ban
from pyfilter.visible import visible

USUAL = "/var/lib/fail2ban/fail2ban.sqlite3"
_LONGEST = 100  # characters of what is shown
_HOUR = 3600.0
_TABLES = ("bips", "bans")  # the first there is: the latest ban of each address, or all bans


def place(folder: Path) -> Path | None:
    """Return where a configuration keeps its base, None where it keeps none."""
    text = (read(folder / "fail2ban.conf").get("Definition", "dbfile") or USUAL).strip()
    return None if text.lower() in ("none", ":memory:") else Path(text)


def live(path: Path, now: float) -> Taken:
    """Return the bans in force at a time; the base is only read. Raises RefusedError."""
    bans: dict[Network, Ban] = {}
    notes = []
    for jail, who, since, length, count in _rows(path):
        until = None if length < 0 else since + length
        if until is not None and until <= now:
            continue
        try:
            subject = network(who.strip())
        except AddressError:
            notes.append(f"{visible(who, _LONGEST)!r} (jail {visible(jail, _LONGEST)}): no address")
            continue
        ban = Ban(subject, min(since, now), until, _reason(jail), visible(jail, _LONGEST), count)
        known = bans.get(subject)
        if known is None or (known.until is not None and (until or now) > known.until):
            bans[subject] = ban
        if until is None:
            bans[subject] = ban
    return Taken(tuple(bans.values()), tuple(notes))


def _reason(jail: str) -> str:
    return f"taken over from fail2ban, jail {visible(jail, _LONGEST)}"


def _rows(path: Path) -> Iterator[tuple[str, str, float, float, int]]:
    """Yield jail, address, time of the ban, its length in seconds, how many there were."""
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True)) as base:
            base.text_factory = lambda raw: raw.decode("utf-8", "replace")
            table, columns = _table(base)
            length = "bantime" if "bantime" in columns else str(_HOUR)
            count = "bancount" if "bancount" in columns else "1"
            query = f"SELECT jail, ip, timeofban, {length}, {count} FROM {table}"  # noqa: S608 - names of ours
            for jail, who, since, lasting, number in base.execute(query):
                yield str(jail), str(who), float(since), float(lasting), max(1, int(number or 1))
    except (sqlite3.Error, TypeError, ValueError) as error:
        raise RefusedError(f"{path}: holds no bans of fail2ban: {error}") from None


def _table(base: sqlite3.Connection) -> tuple[str, set[str]]:
    for table in _TABLES:
        columns = {str(row[1]) for row in base.execute(f"PRAGMA table_info({table})")}
        if {"jail", "ip", "timeofban"} <= columns:
            return table, columns
    raise sqlite3.OperationalError(f"it has none of the tables {re.sub('[()]', '', str(_TABLES))}")
