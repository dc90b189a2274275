# What can still be read of a corrupt database and is sound goes into the new one.
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from pyfilter.addresses import network
from pyfilter.errors import AddressError

Row = tuple[Any, ...]
Rescued = dict[str, list[Row]]

_NUMBER = (int, float)
_END = (int, float, type(None))
# What is worth it, with the types of its columns; history and counts are not.
_TYPES: dict[str, tuple[Any, ...]] = {
    "SELECT * FROM active": (str, _NUMBER, _END, str, str, int, str, str),
    "SELECT * FROM subject": (str, int, _NUMBER, _NUMBER),
    "SELECT * FROM position": (str, str),
    "SELECT * FROM allowance": (str, _END, str, str),
}
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
    types = _TYPES[query]
    with suppress(sqlite3.Error, UnicodeError):
        for row in database.execute(query):
            fits = len(row) == len(types) and all(map(isinstance, row, types))
            if fits and (query not in _OF_SUBJECTS or _canonical(row[0])):
                yield row


def _canonical(subject: str) -> bool:
    try:
        return network(subject) == subject
    except AddressError:
        return False


def restore(database: sqlite3.Connection, rescued: Rescued) -> None:
    """Write rescued rows into a new database."""
    database.execute("BEGIN IMMEDIATE")
    for query, rows in rescued.items():
        database.executemany(_INTO[query], rows)
    database.execute("COMMIT")
