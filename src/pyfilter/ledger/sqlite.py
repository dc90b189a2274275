# The ledger in SQLite: write-ahead log, one short transaction a call, never a long wait.
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from msgspec import Struct

from pyfilter.addresses import Network
from pyfilter.errors import LedgerError
from pyfilter.ledger import rescue
from pyfilter.ledger.file import File
from pyfilter.ledger.known import Known
from pyfilter.ledger.rows import from_row, text, to_row, unpack
from pyfilter.ledger.sweep import Sweep
from pyfilter.model import Allowance, Ban, Decision, Event, History, Position

_LAST = 1 << 62
_AT_ONCE = 5000  # rows: all of them would take as much memory again as the bans

# The schema's triggers do what follows from a decision that is new or has another end.
_REMEMBER = """INSERT INTO decision VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (subject, at, kind, rule) DO UPDATE SET until = excluded.until,
    reason = excluded.reason, strike = excluded.strike, origin = excluded.origin,
    person = excluded.person, observe = excluded.observe WHERE until IS NOT excluded.until"""
_HISTORY = "SELECT strikes, last_banned, last_released FROM subject WHERE subject = ?"
# A ban that began later than `at`, because the clock went back, keeps its length.
_ACTIVE = """SELECT subject, min(since, :at), until - max(0.0, since - :at), reason, rule, strike,
    origin, person FROM active WHERE until IS NULL OR until - max(0.0, since - :at) > :at"""
_PAST = "SELECT * FROM decision WHERE id < :before ORDER BY id DESC LIMIT :limit"
_PAST_OF_RULE = """SELECT * FROM decision WHERE rule = :rule AND id < :before
    ORDER BY id DESC LIMIT :limit"""
_PAST_OF_SUBJECT = """SELECT * FROM decision WHERE subject = :subject AND id < :before
    AND (:rule = '' OR rule = :rule) ORDER BY id DESC LIMIT :limit"""
_TALLY = """INSERT INTO tally (rule, hour, failures, bans) VALUES (?, ?, ?, ?)
    ON CONFLICT (hour, rule) DO UPDATE SET failures = failures + excluded.failures,
    bans = bans + excluded.bans"""


class Sqlite(Struct, frozen=True, tag="sqlite", tag_field="type", forbid_unknown_fields=True):
    """Settings of a ledger in an SQLite database."""

    path: str

    def open(self) -> "SqliteLedger":
        """Open or create the database; raises LedgerError when the file is not ours to use.

        A file that cannot be opened just now is tried again at each call, and health tells.
        """
        return SqliteLedger(Path(self.path))


class SqliteLedger:
    """Remembers in one file; see interfaces.Ledger."""

    def __init__(self, path: Path) -> None:
        self._file = File(path)
        self._sweep = Sweep()
        self._known = Known()
        with suppress(LedgerError):  # who is known is asked again when it matters
            self.histories(())

    def record(self, decisions: Sequence[Decision]) -> None:
        self._known.add(decision.subject for decision in decisions)
        if len(decisions) == 1:  # a transaction by itself
            self._file.write(_REMEMBER, to_row(decisions[0]))
            return
        with self._file.writing() as database:
            database.executemany(_REMEMBER, map(to_row, decisions))

    def active(self, at: float) -> list[Ban]:
        with self._file.reading() as database:
            found: list[Ban] = []
            answer = database.execute(_ACTIVE, {"at": at})
            while rows := answer.fetchmany(_AT_ONCE):  # bits may have been flipped
                found += [Ban(*row) for row in rescue.bans(rows)]
            return found

    def evidence(self, subject: Network) -> tuple[Event, ...]:
        with self._file.reading() as database:
            row = database.execute(
                "SELECT evidence FROM decision WHERE subject = ? AND kind = 'ban' "
                "ORDER BY id DESC LIMIT 1",
                (subject,),
            ).fetchone()
        return unpack(row[0]) if row else ()

    def history(self, subject: Network) -> History:
        return self.histories([subject]).get(subject, History())

    def histories(self, subjects: Iterable[Network]) -> dict[Network, History]:
        if self._known.of != self._file.openings:
            with self._file.reading() as database:
                self._known = Known(database, self._file.openings)
        asked = [subject for subject in subjects if subject in self._known]
        if not asked:
            return {}
        with self._file.reading() as database:
            rows = {one: database.execute(_HISTORY, (one,)).fetchone() for one in asked}
        return {one: History(*row) for one, row in rows.items() if row and rescue.is_history(row)}

    def past(
        self, *, subject: Network | None = None, rule: str = "", before: int = 0, limit: int = 100
    ) -> list[tuple[int, Decision]]:
        query = _PAST_OF_SUBJECT if subject else _PAST_OF_RULE if rule else _PAST
        given = {"subject": subject, "rule": rule, "before": before or _LAST, "limit": limit}
        with self._file.reading() as database:
            rows = database.execute(query, given).fetchall()
        return [(number, from_row(row)) for number, *row in rows]

    def tally(self, counts: Mapping[tuple[str, int], tuple[int, int]]) -> None:
        with self._file.writing() as database:
            database.executemany(_TALLY, [(*key, *added) for key, added in counts.items()])

    def counts(self, since_hour: int) -> dict[str, tuple[int, int]]:
        with self._file.reading() as database:
            rows = database.execute(
                "SELECT rule, sum(failures), sum(bans) FROM tally WHERE hour >= ? GROUP BY rule",
                (since_hour,),
            ).fetchall()
        return {rule: (failures, bans) for rule, failures, bans in rows}

    def save_positions(self, positions: Iterable[Position]) -> None:
        rows = [(position.source, position.token) for position in positions]
        with self._file.writing() as database:
            database.executemany("INSERT OR REPLACE INTO position VALUES (?, ?)", rows)

    def load_position(self, source: str) -> Position | None:
        with self._file.reading() as database:
            row = database.execute(
                "SELECT source, token FROM position WHERE source = ?", (source,)
            ).fetchone()
        return Position(*row) if row else None

    def allow(self, allowance: Allowance) -> None:
        row = (allowance.entry, allowance.until, text(allowance.note), text(allowance.by))
        with self._file.writing() as database:
            database.execute("INSERT OR REPLACE INTO allowance VALUES (?, ?, ?, ?)", row)

    def disallow(self, entry: str) -> bool:
        with self._file.writing() as database:
            return database.execute("DELETE FROM allowance WHERE entry = ?", (entry,)).rowcount > 0

    def allowances(self, at: float) -> list[Allowance]:
        with self._file.reading() as database:
            rows = database.execute(
                "SELECT * FROM allowance WHERE until IS NULL OR until > ? ORDER BY entry", (at,)
            ).fetchall()
        return [Allowance(*row) for row in rows]

    def purge(self, before: float) -> None:
        with self._file.writing() as database:
            self._sweep.piece(database, before)

    def tidy(self) -> None:
        self._file.tidy()

    def health(self) -> str:
        return self._file.health()

    def close(self) -> None:
        self._file.close()
