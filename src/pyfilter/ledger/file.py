# The database file: opened with care, set aside when corrupt, saved when removed under our feet.
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from pyfilter.errors import LedgerError
from pyfilter.ledger.rescue import Rescued, rescue, restore
from pyfilter.ledger.schema import migrate, version

PATIENCE = 0.02  # seconds to wait for another process's lock: the event loop waits with us
CHECKED = 16 << 20  # bytes; a larger database is not read through at start
_SIZE = "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size"  # its log included
MANY = 2000  # changed rows, some 8 MB of a write-ahead log
_TRIES = 10
_BRING = "PRAGMA wal_checkpoint(PASSIVE)"  # holds up neither readers nor writers
CORRUPT = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
REASONS = {
    sqlite3.SQLITE_BUSY: "another process holds a lock on it",
    sqlite3.SQLITE_LOCKED: "another process holds a lock on it",
    sqlite3.SQLITE_FULL: "the disk is full",
    sqlite3.SQLITE_READONLY: "it may not be written",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened",
    sqlite3.SQLITE_IOERR: "reading or writing it failed",
    sqlite3.SQLITE_CORRUPT: "it was corrupt",
    sqlite3.SQLITE_NOTADB: "it was no database",
}
PASSING = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL}  # keeps the connection


class File:
    """One SQLite database, its connection and its health."""

    def __init__(self, path: Path) -> None:
        """Open the file; only one that is not ours to use raises (LedgerError)."""
        self.path = path
        self._database: sqlite3.Connection | None = None
        self._inode = 0
        self.openings = 0
        self._trouble = {"writing": "", "reading": ""}  # of the last call; empty: it went well
        self._changes = self._tidied = 0  # rows since the file was opened
        self._loss = ""  # what happened to an older file since the start
        try:
            self._connection()
        except (sqlite3.Error, OSError) as error:
            self._failed(error, "writing")

    def health(self) -> str:
        """Return "ok" or "degraded: …"."""
        trouble = self._trouble["writing"] or self._trouble["reading"] or self._loss
        return f"degraded: {trouble}" if trouble else "ok"

    def close(self) -> None:
        if self._database is not None:
            with suppress(sqlite3.Error):
                self._database.close()
        self._database = None

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Lend the connection, or a view of a file that can only be read; raises LedgerError."""
        try:
            database = self._connection()
        except (sqlite3.Error, OSError) as error:
            failure = self._failed(error, "reading")
            with self._view(failure) as view:
                yield view
            return
        with self._watched("reading"):
            yield database

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Lend the connection within one transaction, all or nothing; raises LedgerError."""
        with self._watched("writing"):
            database = self._connection()
            database.execute("BEGIN IMMEDIATE")
            try:
                yield database
                database.execute("COMMIT")
                self._changes = database.total_changes
            except BaseException:
                with suppress(sqlite3.Error):
                    database.rollback()
                raise

    def write(self, statement: str, row: Sequence[Any]) -> None:
        """Carry a statement out that is a transaction by itself; raises LedgerError."""
        with self._watched("writing"):
            database = self._connection()
            database.execute(statement, row)
            self._changes = database.total_changes

    def tidy(self) -> None:
        """Bring a long write-ahead log into the database; for a thread, because the disk is slow.

        By a connection of its own, and again until nothing was written meanwhile: only then does
        the next transaction begin the log anew.
        """
        changes = self._changes
        if abs(changes - self._tidied) < MANY:
            return
        with (
            suppress(sqlite3.Error),  # the next time has the same and more to bring
            closing(sqlite3.connect(self.path, timeout=0, isolation_level=None)) as database,
        ):
            for _ in range(_TRIES):
                busy, written, brought = database.execute(_BRING).fetchone()
                if busy or written == brought:
                    break
            self._tidied = changes

    @contextmanager
    def _watched(self, doing: str) -> Iterator[None]:
        """Turn what SQLite or the system complains about into a LedgerError and note it."""
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise self._failed(error, doing) from error
        self._trouble[doing] = ""

    @contextmanager
    def _view(self, failure: LedgerError) -> Iterator[sqlite3.Connection]:
        """Lend the file as it was last closed (a disk that is full or read-only); else fail."""
        address = f"{self.path.absolute().as_uri()}?mode=ro&immutable=1"
        try:
            with closing(sqlite3.connect(address, uri=True, isolation_level=None)) as database:
                yield database
        except sqlite3.Error:
            raise failure from None

    def _connection(self) -> sqlite3.Connection:
        if self._database is None:
            self._database = self._opened()
        elif not self._in_place():
            self._database = self._put_back(self._database)
        return self._database

    def _in_place(self) -> bool:
        """Say whether the path still names the file that we hold open."""
        try:
            return self.path.stat().st_ino == self._inode
        except FileNotFoundError:
            return False

    def _put_back(self, held: sqlite3.Connection) -> sqlite3.Connection:
        """Follow the path: to the file that took our file's place, or to a copy of ours."""
        if self.path.exists():
            self.close()
            return self._opened()
        self._make()
        with closing(sqlite3.connect(self.path, isolation_level=None)) as copy:
            held.backup(copy)
        self.close()
        return self._opened()

    def _make(self) -> None:
        """Make an empty file that only we may read, without leavings of an older one."""
        if not self.path.exists():
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._remove_logs()
            self.path.touch(mode=0o600)

    def _opened(self) -> sqlite3.Connection:
        self._make()
        database = sqlite3.connect(self.path, timeout=PATIENCE, isolation_level=None)
        try:
            _check(database)
            older = version(database, str(self.path))
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("PRAGMA synchronous = NORMAL")
            database.execute("PRAGMA secure_delete = OFF")  # distributions turn it on
            database.execute("PRAGMA wal_autocheckpoint = 12000")  # pages; `tidy` comes before
            migrate(database, older)
        except BaseException:
            database.close()
            raise
        self._inode = self.path.stat().st_ino
        self.openings += 1
        self._trouble["reading"] = ""
        self.path.chmod(0o600)
        return database

    def _failed(self, error: Exception, doing: str) -> LedgerError:
        """Note what went wrong and do what helps against it; return it in words."""
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in CORRUPT:
            self._begin_anew()
            self._trouble[doing] = ""
            return LedgerError(f"the ledger failed: {self._loss}")
        if code not in PASSING:
            self.close()
        self._trouble[doing] = f"{self.path}: {REASONS.get(code, str(error))}"
        return LedgerError(f"the ledger failed: {self._trouble[doing]}")

    def _begin_anew(self) -> None:
        """Set a corrupt file aside, in the place of an earlier one, and take over what is sound."""
        self.close()
        aside = self.path.with_name(f"{self.path.name}.corrupt")
        try:
            rescued: Rescued = rescue(self.path)
            self.path.replace(aside)
            self._remove_logs()
            self._database = self._opened()
            restore(self._database, rescued)
        except (sqlite3.Error, OSError, LedgerError) as error:
            self._loss = f"{self.path} is corrupt and cannot be replaced: {error}"
        else:
            self._loss = f"{self.path} was corrupt and began anew; the old file is {aside}"

    def _remove_logs(self) -> None:
        for suffix in ("-wal", "-shm"):
            self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)


def _check(database: sqlite3.Connection) -> None:
    """Raise sqlite3.DatabaseError when the database is corrupt."""
    (size,) = database.execute(_SIZE).fetchone()
    if size > CHECKED:
        return
    (verdict,) = database.execute("PRAGMA quick_check(1)").fetchone()
    if verdict != "ok":
        raise Corrupt(verdict)


class Corrupt(sqlite3.DatabaseError):
    """The check at start found what SQLite itself had not stumbled over."""

    sqlite_errorcode = sqlite3.SQLITE_CORRUPT
