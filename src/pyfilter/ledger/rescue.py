# What can still be read of a corrupt database and is sound goes into the new one.
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Annotated, Any

from msgspec import Meta, ValidationError, convert

from pyfilter.addresses import ipv4_numbers, is_canonical
from pyfilter.errors import AddressError

Row = tuple[Any, ...]
Rescued = dict[str, list[Row]]

_NUMBER = (int, float)
_LATEST = 1e11  # seconds since the epoch: the year 5138; calendars end at 9999
_Moment = Annotated[float, Meta(gt=-_LATEST, lt=_LATEST)]
_END = (int, float, type(None))
# What is worth it, with the types of its columns; history and counts are not.
_TYPES: dict[str, tuple[Any, ...]] = {
    "SELECT * FROM active": (str, _NUMBER, _END, str, str, int, str, str),
    "SELECT * FROM subject": (str, int, _NUMBER, _NUMBER),
    "SELECT * FROM position": (str, str),
    "SELECT * FROM allowance": (str, _END, str, str),
}
_Bans = list[tuple[str, _Moment, _Moment | None, str, str, int, str, str]]
_INTO = {
    "SELECT * FROM active": "INSERT OR IGNORE INTO active VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
    "SELECT * FROM subject": "INSERT OR IGNORE INTO subject VALUES (?, ?, ?, ?)",
    "SELECT * FROM position": "INSERT OR IGNORE INTO position VALUES (?, ?)",
    "SELECT * FROM allowance": "INSERT OR IGNORE INTO allowance VALUES (?, ?, ?, ?)",
}
_OF_SUBJECTS = ("SELECT * FROM active", "SELECT * FROM subject")


def rescue(path: Path) -> Rescued:
    """Return the sound rows of a corrupt database; nothing is certain, so nothing is an error."""
    found: Rescued = {}
    with suppress(sqlite3.Error), closing(sqlite3.connect(path, isolation_level=None)) as database:
        for query in _TYPES:
            found[query] = list(_sound(database, query))
    return found


def _sound(database: sqlite3.Connection, query: str) -> Iterator[Row]:
    with suppress(sqlite3.Error, UnicodeError):
        for row in database.execute(query):
            if _fits(row, _TYPES[query]) and (query not in _OF_SUBJECTS or is_canonical(row[0])):
                yield row


def bans(rows: Sequence[Row]) -> Sequence[Row]:
    """Return the rows of `active` that we can have written: nearly always all of them at once."""
    try:
        convert(rows, _Bans)
    except ValidationError:
        rows = [row for row in rows if _fits(row, _TYPES["SELECT * FROM active"])]
    subjects = [row[0] for row in rows]
    return rows if _all_canonical(subjects) else [row for row in rows if is_canonical(row[0])]


def is_history(row: Row) -> bool:
    """Say whether a row of `subject`, without its subject, is one that we can have written."""
    return _fits(row, (int, _NUMBER, _NUMBER))


def _fits(row: Row, types: Row) -> bool:
    if len(row) != len(types) or not all(map(isinstance, row, types)):
        return False
    return all(-_LATEST < value < _LATEST for value in row if type(value) is float)


def _all_canonical(subjects: Sequence[str]) -> bool:
    """Say whether so many subjects are canonical; most are IPv4 hosts, and quickly told."""
    others = [one for one in subjects if ":" in one or "/" in one]
    hosts = set(subjects).difference(others) if others else subjects
    try:
        ipv4_numbers(hosts)
    except AddressError:
        return False
    return all(map(is_canonical, others))


def restore(database: sqlite3.Connection, rescued: Rescued) -> None:
    """Write rescued rows into a new database."""
    database.execute("BEGIN IMMEDIATE")
    for query, rows in rescued.items():
        database.executemany(_INTO[query], rows)
    database.execute("COMMIT")
