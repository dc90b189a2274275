# What is long over leaves the ledger a piece at a time: a purge holds no ban up, and a ban need not
# write to an index of ends.
import sqlite3
from typing import Final

from msgspec import Struct

KEPT: Final = 500_000  # decisions; the oldest go first
PIECE: Final = 1000  # rows of a table that one purge looks at
_DROPPED: Final = 3 * PIECE  # decisions above KEPT that one purge drops at most: some 30 ms


class _Round(Struct, frozen=True):
    """How the rows of a table are gone through by their keys."""

    first: str | int  # lies before all keys
    look: str  # the last key of the next piece, and how many there are
    drop: str  # what is over of that piece


# The bans in force come first, for the others ask for them.
_ROUNDS: Final = (
    _Round(
        "",
        "SELECT max(subject), count(*) FROM "
        "(SELECT subject FROM active WHERE subject > ? ORDER BY subject LIMIT ?)",
        "DELETE FROM active WHERE subject > :after AND subject <= :last AND until < :before",
    ),
    _Round(
        0,
        "SELECT max(id), count(*) FROM (SELECT id FROM decision WHERE id > ? ORDER BY id LIMIT ?)",
        """DELETE FROM decision WHERE id > :after AND id <= :last
        AND coalesce(until, at) < :before
        AND NOT EXISTS (SELECT 1 FROM active WHERE active.subject = decision.subject)""",
    ),
    _Round(
        "",
        "SELECT max(subject), count(*) FROM "
        "(SELECT subject FROM subject WHERE subject > ? ORDER BY subject LIMIT ?)",
        """DELETE FROM subject WHERE subject > :after AND subject <= :last
        AND max(last_banned, last_released) < :before
        AND NOT EXISTS (SELECT 1 FROM active WHERE active.subject = subject.subject)""",
    ),
)
_WHOLE: Final = (
    """DELETE FROM decision WHERE id IN (
        SELECT id FROM decision WHERE id <= (SELECT max(id) FROM decision) - :kept LIMIT :most)""",
    "DELETE FROM tally WHERE hour <= :before / 3600 - 1",
    "DELETE FROM allowance WHERE until < :before",
)


class Sweep:
    """Goes round and round the tables."""

    def __init__(self) -> None:
        self._places = [each.first for each in _ROUNDS]

    def piece(self, database: sqlite3.Connection, before: float) -> None:
        """Drop what ended before a time from the next rows of each table."""
        for number, each in enumerate(_ROUNDS):
            after = self._places[number]
            last, looked = database.execute(each.look, (after, PIECE)).fetchone()
            database.execute(each.drop, {"after": after, "last": last, "before": before})
            self._places[number] = last if looked == PIECE else each.first
        for statement in _WHOLE:
            database.execute(statement, {"before": before, "kept": KEPT, "most": _DROPPED})
