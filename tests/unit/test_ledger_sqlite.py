import os
import sqlite3
import stat
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from msgspec.structs import replace

from pyfilter.addresses import Network
from pyfilter.errors import LedgerError
from pyfilter.ledger import Sqlite
from pyfilter.ledger.file import MANY
from pyfilter.ledger.known import MOST
from pyfilter.ledger.schema import APPLICATION, MIGRATIONS
from pyfilter.ledger.sqlite import SqliteLedger
from pyfilter.ledger.sweep import PIECE
from pyfilter.model import Allowance, Ban, History, Position, Release

HOST = Network("192.0.2.1")
BAN = Ban(HOST, 1000.0, 1600.0, "5 failures", "sshd", 1, "web01")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "pyfilter.db"


@contextmanager
def opened(path: Path) -> Iterator[SqliteLedger]:
    ledger = Sqlite(str(path)).open()
    yield ledger
    ledger.close()


def fill(path: Path, bans: int = 1) -> None:
    with opened(path) as ledger:
        ledger.record([numbered(number) for number in range(bans)])


def numbered(number: int) -> Ban:
    subject = Network(f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}")
    return Ban(subject, 1000.0 + number, 1e9, "5 failures", "sshd", 1, "web01")


def test_what_was_recorded_is_there_after_a_restart(path: Path) -> None:
    with opened(path) as ledger:
        ledger.record([BAN])
        ledger.save_positions([Position("a", "1")])
        ledger.allow(Allowance("192.0.2.0/24"))
    with opened(path) as ledger:
        assert ledger.active(1100) == [BAN]
        assert ledger.history(HOST).strikes == 1
        assert ledger.load_position("a") == Position("a", "1")
        assert ledger.allowances(0) == [Allowance("192.0.2.0/24")]


def test_only_the_owner_may_read_the_files(path: Path) -> None:
    with opened(path) as ledger:
        ledger.record([BAN])
        modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    assert modes == dict.fromkeys(["pyfilter.db", "pyfilter.db-wal", "pyfilter.db-shm"], 0o600)


def test_a_file_that_others_could_read_is_closed_to_them(path: Path) -> None:
    fill(path)
    path.chmod(0o644)
    with opened(path):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_another_process_s_lock_is_an_error_at_once_and_passes(path: Path) -> None:
    fill(path)
    with opened(path) as ledger, closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        begun = time.monotonic()
        with pytest.raises(LedgerError, match="another process holds a lock"):
            ledger.record([BAN])
        assert time.monotonic() - begun < 5  # not the minute that the other may take
        assert ledger.health().startswith("degraded: ")
        other.execute("ROLLBACK")
        ledger.record([BAN])
        assert ledger.health() == "ok"
        assert BAN in ledger.active(1100)


def test_a_database_that_is_locked_at_start_is_used_once_it_is_free(path: Path) -> None:
    fill(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        ledger = Sqlite(str(path)).open()
        assert "lock" in ledger.health()
        with pytest.raises(LedgerError):
            ledger.record([BAN])
        assert len(ledger.active(5000)) == 1  # as it was last closed
        assert "lock" in ledger.health()
    ledger.record([BAN])
    assert len(ledger.active(1100)) == 2
    assert ledger.health() == "ok"
    ledger.close()


def test_a_failed_batch_leaves_nothing_behind(path: Path) -> None:
    with opened(path) as ledger:
        odd = Ban(Network(HOST), 1.0, None, "x", strike=1 << 70)
        with pytest.raises((LedgerError, OverflowError)):
            ledger.record([BAN, odd])
        assert ledger.active(1100) == []
        assert ledger.past() == []


def garbage(path: Path) -> None:
    path.write_bytes(os.urandom(8192))


def truncated(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def flipped(path: Path) -> None:
    data = bytearray(path.read_bytes())
    for place in range(4096 * 3, len(data), 512):
        data[place] ^= 0xFF
    path.write_bytes(data)


def text_file(path: Path) -> None:
    path.write_text("this is no database\n" * 100)


@pytest.mark.parametrize("damage", [garbage, truncated, flipped, text_file])
def test_a_corrupt_file_is_set_aside_and_said(path: Path, damage: object) -> None:
    fill(path, 3000)
    assert callable(damage)
    for _ in range(2):
        damage(path)
        with opened(path) as ledger:
            assert "was corrupt and began anew" in ledger.health()
            ledger.record([BAN])
            assert BAN in ledger.active(1100)
            assert "was corrupt and began anew" in ledger.health()
        assert [file.name for file in path.parent.glob("*corrupt*")] == ["pyfilter.db.corrupt"]
    with opened(path) as ledger:
        assert ledger.health() == "ok"


def test_what_is_sound_of_a_corrupt_file_is_taken_over(path: Path) -> None:
    fill(path, 3000)
    with closing(sqlite3.connect(path)) as database:
        (root,) = database.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = 'decision_rule'"
        ).fetchone()
    data = bytearray(path.read_bytes())
    data[(root - 1) * 4096 : (root - 1) * 4096 + 64] = os.urandom(64)
    path.write_bytes(data)
    with opened(path) as ledger:
        assert "began anew" in ledger.health()
        assert len(ledger.active(5000)) == 3000


def test_corruption_found_at_run_time_is_an_error_and_then_a_new_start(path: Path) -> None:
    fill(path, 3000)
    with opened(path) as ledger:
        ledger._file._connection().execute("PRAGMA cache_size = 0")
        with path.open("r+b") as file:
            file.seek(4096)
            file.write(os.urandom(path.stat().st_size - 4096))
        with pytest.raises(LedgerError, match="corrupt"):
            [ledger.history(numbered(number).subject) for number in range(3000)]
        ledger.record([BAN])
        assert ledger.active(1100) == [BAN]
        assert "began anew" in ledger.health()


def test_a_database_removed_under_our_feet_is_put_back_whole(path: Path) -> None:
    with opened(path) as ledger:
        ledger.record([numbered(1)])
        for file in path.parent.iterdir():
            file.unlink()
        path.parent.rmdir()
        ledger.record([numbered(2)])
    with opened(path) as ledger:
        assert len(ledger.active(5000)) == 2
        assert ledger.health() == "ok"


def test_a_database_put_in_the_place_of_ours_is_followed(path: Path, tmp_path: Path) -> None:
    spare = tmp_path / "spare.db"
    fill(spare, 7)
    with opened(path) as ledger:
        ledger.record([BAN])
        spare.replace(path)
        for suffix in ("-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        assert len(ledger.active(5000)) == 7


def test_a_place_that_cannot_be_written_degrades_and_stops_nothing(tmp_path: Path) -> None:
    blocker = tmp_path / "file"
    blocker.write_text("")
    ledger = Sqlite(str(blocker / "pyfilter.db")).open()
    assert ledger.health().startswith("degraded: ")
    with pytest.raises(LedgerError):
        ledger.record([BAN])
    blocker.unlink()
    ledger.record([BAN])
    assert ledger.health() == "ok"
    ledger.close()


def test_a_full_disk_is_an_error_and_passes(path: Path) -> None:
    with opened(path) as ledger:
        ledger.record([BAN])
        database = ledger._file._connection()
        database.execute("PRAGMA max_page_count = 1")  # SQLite takes the size it has
        with pytest.raises(LedgerError, match="the disk is full"):
            ledger.record([numbered(number) for number in range(3000)])
        assert "disk is full" in ledger.health()
        assert ledger.active(1100) == [BAN]
        assert "disk is full" in ledger.health()
        database.execute("PRAGMA max_page_count = 1000000")
        ledger.record([numbered(number) for number in range(3000)])
        assert ledger.health() == "ok"


def test_a_newer_schema_is_refused_and_left_alone(path: Path) -> None:
    fill(path)
    with closing(sqlite3.connect(path)) as database:
        database.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    before = path.read_bytes()
    with pytest.raises(LedgerError, match="newer PyFilter"):
        Sqlite(str(path)).open()
    assert path.read_bytes() == before


def test_another_program_s_database_is_refused_and_left_alone(path: Path) -> None:
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as database:
        database.executescript("CREATE TABLE theirs (a); PRAGMA user_version = 3;")
    before = path.read_bytes()
    with pytest.raises(LedgerError, match="another program"):
        Sqlite(str(path)).open()
    assert path.read_bytes() == before


def test_the_original_s_table_stays_beside_ours(path: Path) -> None:
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as database:
        database.executescript("CREATE TABLE banned_ip (id, ip); INSERT INTO banned_ip VALUES(1,2)")
    with opened(path) as ledger:
        ledger.record([BAN])
        assert ledger.active(1100) == [BAN]
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("SELECT * FROM banned_ip").fetchall() == [(1, 2)]


def test_ten_thousand_decisions_are_one_transaction(path: Path) -> None:
    decisions = [numbered(number) for number in range(10_000)]
    with opened(path) as ledger:
        ledger.record(decisions)
        assert len(ledger.active(5000)) == 10_000
        ledger.record([Release(ban.subject, 6000.0, "operator") for ban in decisions])
        assert ledger.active(5000) == []


def test_a_ledger_of_the_first_version_is_taken_over_whole(path: Path) -> None:
    path.parent.mkdir()
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.executescript(MIGRATIONS[0])
        database.execute(f"PRAGMA application_id = {APPLICATION}")
        database.executescript(
            """INSERT INTO decision VALUES
                (1, 'ban', '192.0.2.7', 900, 5000, 'words', 'sshd', 2, 'web01', '', 0, NULL);
            INSERT INTO active VALUES ('192.0.2.7', 900, 5000, 'words', 'sshd', 2, 'web01', '');
            INSERT INTO subject VALUES ('192.0.2.7', 2, 900, 0);
            PRAGMA user_version = 1;"""
        )
    old = Ban(Network("192.0.2.7"), 900.0, 5000.0, "words", "sshd", 2, "web01")
    with opened(path) as ledger:
        ledger.record([BAN])
        assert {ban.subject: ban for ban in ledger.active(1100)} == {
            old.subject: old,
            BAN.subject: BAN,
        }
        assert [each for _, each in ledger.past()] == [BAN, old]
        assert ledger.histories([old.subject, HOST]) == {
            old.subject: History(2, 900, 0),
            HOST: History(1, 1000, 0),
        }
        assert ledger.health() == "ok"


def test_decisions_among_which_some_are_known_are_written_once(path: Path) -> None:
    some, longer = [numbered(number) for number in range(3)], replace(numbered(1), until=2e9)
    with opened(path) as ledger:
        ledger.record(some[:2])
        ledger.record([*some, Release(some[0].subject, 1500, "operator"), longer])
        assert [each for _, each in ledger.past()] == [
            Release(some[0].subject, 1500, "operator"),
            some[2],
            longer,
            some[0],
        ]
        assert {ban.subject: ban.until for ban in ledger.active(1600)} == {
            some[2].subject: 1e9,
            longer.subject: 2e9,
        }


def test_purges_go_round_all_rows_a_piece_at_a_time(path: Path) -> None:
    with opened(path) as ledger:
        ended = [replace(numbered(number), until=2000.0) for number in range(3 * PIECE)]
        ledger.record([*ended, BAN])
        counts = []
        for _ in range(8):  # twice round: whose bans were in force is forgotten after these
            ledger.purge(5000.0)
            counts.append(len(ledger.past(limit=4 * PIECE)))
        assert counts[0] > counts[1] > counts[-1] == 0
        assert ledger.history(ended[-1].subject).strikes == 0


def test_histories_are_those_of_the_file_that_is_there_now(path: Path, tmp_path: Path) -> None:
    spare = tmp_path / "spare.db"
    fill(spare, 3)
    with opened(path) as ledger:
        assert ledger.histories([numbered(1).subject, HOST]) == {}
        ledger.record([BAN])
        assert set(ledger.histories([numbered(1).subject, HOST])) == {HOST}
        spare.replace(path)
        for suffix in ("-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        ledger.record([numbered(2)])
        assert set(ledger.histories([numbered(1).subject, HOST])) == {numbered(1).subject}


def test_histories_are_found_however_many_are_known(path: Path) -> None:
    with opened(path) as ledger:
        ledger.record([numbered(number) for number in range(MOST + 1)])
        assert set(ledger.histories([numbered(MOST).subject, HOST])) == {numbered(MOST).subject}
    with opened(path) as ledger:
        assert set(ledger.histories([numbered(0).subject, HOST])) == {numbered(0).subject}
        ledger.record([BAN])
        assert set(ledger.histories([HOST])) == {HOST}


def test_a_long_log_is_brought_into_the_database(path: Path) -> None:
    with opened(path) as ledger:
        ledger.tidy()
        before = path.stat().st_size
        for number in range(MANY // 2):
            ledger.record([numbered(number)])
        assert path.stat().st_size == before
        ledger.tidy()
        assert path.stat().st_size > before


def test_a_thread_may_tidy_while_bans_are_written(path: Path) -> None:
    with opened(path) as ledger, ThreadPoolExecutor(1) as pool:
        for part in range(4):
            tidied = pool.submit(ledger.tidy)
            numbers = range(part * 1000, (part + 1) * 1000)
            for number in numbers:
                ledger.record([numbered(number)])
            tidied.result()
        assert len(ledger.active(BAN.since)) == 4000
        assert ledger.health() == "ok"
