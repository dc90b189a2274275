# The ledger's tables, and how a database of an older version becomes one of today's.
import sqlite3

from pyfilter.errors import LedgerError

APPLICATION = 0x70796C67  # "pylg": tells our databases from those of others

_INDEXES = "DROP INDEX decision_end; DROP INDEX active_end; DROP INDEX subject_last;"
_NEW = "CREATE TRIGGER banned AFTER INSERT ON decision"
_PROLONGED = "CREATE TRIGGER prolonged AFTER UPDATE OF until ON decision"
_BANNED = """WHEN NEW.kind = 'ban' AND NOT NEW.observe BEGIN
    INSERT INTO active VALUES (NEW.subject, NEW.at, NEW.until, NEW.reason, NEW.rule, NEW.strike,
            NEW.origin, NEW.person)
        ON CONFLICT (subject) DO UPDATE SET since = excluded.since, until = excluded.until,
            reason = excluded.reason, rule = excluded.rule, strike = excluded.strike,
            origin = excluded.origin, person = excluded.person;
    INSERT INTO subject (subject, strikes, last_banned) VALUES (NEW.subject, NEW.strike, NEW.at)
        ON CONFLICT (subject) DO UPDATE SET
            last_banned = max(last_banned, excluded.last_banned),
            strikes = CASE WHEN NEW.rule != '' THEN excluded.strikes
                ELSE max(strikes, excluded.strikes) END;
    END;"""
_RELEASED = """CREATE TRIGGER released AFTER INSERT ON decision WHEN NEW.kind = 'release' BEGIN
    DELETE FROM active WHERE subject = NEW.subject;
    INSERT INTO subject (subject, last_released)
        SELECT NEW.subject, NEW.at WHERE NEW.reason != 'expired'
        ON CONFLICT (subject) DO UPDATE
        SET last_released = max(last_released, excluded.last_released);
    END;"""
# One script for each version; a script that was ever released is never changed.
MIGRATIONS = (
    """
    CREATE TABLE decision (
        id INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, subject TEXT NOT NULL,
        at REAL NOT NULL, until REAL, reason TEXT NOT NULL, rule TEXT NOT NULL,
        strike INTEGER NOT NULL, origin TEXT NOT NULL, person TEXT NOT NULL,
        observe INTEGER NOT NULL, evidence BLOB);
    CREATE UNIQUE INDEX decision_once ON decision (subject, at, kind, rule);
    CREATE INDEX decision_rule ON decision (rule, id);
    CREATE INDEX decision_end ON decision (coalesce(until, at));
    CREATE TABLE active (
        subject TEXT PRIMARY KEY, since REAL NOT NULL, until REAL, reason TEXT NOT NULL,
        rule TEXT NOT NULL, strike INTEGER NOT NULL, origin TEXT NOT NULL,
        person TEXT NOT NULL) WITHOUT ROWID;
    CREATE INDEX active_end ON active (until);
    CREATE TABLE subject (
        subject TEXT PRIMARY KEY, strikes INTEGER NOT NULL DEFAULT 0,
        last_banned REAL NOT NULL DEFAULT 0, last_released REAL NOT NULL DEFAULT 0) WITHOUT ROWID;
    CREATE INDEX subject_last ON subject (max(last_banned, last_released));
    CREATE TABLE position (source TEXT PRIMARY KEY, token TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE allowance (
        entry TEXT PRIMARY KEY, until REAL, note TEXT NOT NULL, person TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE tally (
        hour INTEGER NOT NULL, rule TEXT NOT NULL, failures INTEGER NOT NULL,
        bans INTEGER NOT NULL, PRIMARY KEY (hour, rule)) WITHOUT ROWID;
    """,
    # Only what is long over was found by these indexes, and each ban had to write to them. What a
    # decision changes, if it is new or has another end than before, is left to triggers: with them
    # it is one statement, and a transaction by itself.
    f"{_INDEXES} {_NEW} {_BANNED} {_PROLONGED} {_BANNED} {_RELEASED}",
)


def version(database: sqlite3.Connection, path: str) -> int:
    """Return the version of a database; raises LedgerError for one that is not ours to change."""
    number = _pragma(database, "user_version")
    if number and _pragma(database, "application_id") != APPLICATION:
        raise LedgerError(f"{path} is the database of another program; name another file")
    if number > len(MIGRATIONS):
        raise LedgerError(
            f"{path} was written by a newer PyFilter (version {number}, this one knows "
            f"{len(MIGRATIONS)}); install that one or name another file"
        )
    return number


def migrate(database: sqlite3.Connection, since: int) -> None:
    """Bring a database of an older version to today's, one version a transaction."""
    for number in range(since, len(MIGRATIONS)):
        database.executescript(
            f"BEGIN IMMEDIATE; {MIGRATIONS[number]}; PRAGMA user_version = {number + 1};"
            f"PRAGMA application_id = {APPLICATION}; COMMIT;"
        )


def _pragma(database: sqlite3.Connection, name: str) -> int:
    row = database.execute(f"PRAGMA {name}").fetchone()
    return int(row[0])
