# The ledger in trouble: protection goes on within a second, status says so, the ledger catches up.
import os
import shutil
import signal
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from random import Random

import pytest

from guarded import Guarded, guarded, subjects, until
from system.lab import need

pytestmark = pytest.mark.root
BEFORE, DURING, AFTER = subjects(3)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Guarded]:
    need("ip", "nsenter", "nft")
    with guarded(tmp_path) as made:
        yield made


def database(server: Guarded) -> Path:
    return server.state / "pyfilter.db"


def recorded(server: Guarded) -> set[str]:
    with closing(sqlite3.connect(database(server))) as view:
        return {row[0] for row in view.execute("SELECT subject FROM active")}


@contextmanager
def disk(folder: Path, size: str) -> Iterator[Path]:
    """Mount a small disk for the time of the block."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def fill(filler: Path) -> None:
    """Leave not a byte free."""
    with filler.open("ab", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))


def bans_go_on(server: Guarded, address: str) -> None:
    server.fail(address)
    server.blocked(address, within=2.0)  # a second of the daemon's and what our own looking takes


def test_a_database_that_another_process_locks_is_made_up_for(server: Guarded) -> None:
    server.start()
    bans_go_on(server, BEFORE)
    with closing(sqlite3.connect(database(server), isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        bans_go_on(server, DURING)
        assert "degraded" in server.status().ledger
        other.execute("ROLLBACK")
    bans_go_on(server, AFTER)
    assert recorded(server) == {BEFORE, DURING, AFTER}
    assert server.status().ledger == "ok"


def test_a_database_locked_at_the_start_holds_nothing_up(server: Guarded) -> None:
    server.start()
    bans_go_on(server, BEFORE)
    server.end()
    with closing(sqlite3.connect(database(server), isolation_level=None)) as other:
        other.execute("PRAGMA journal_mode = DELETE")
        other.execute("BEGIN EXCLUSIVE")
        server.start()
        assert BEFORE in server.kernel()
        bans_go_on(server, DURING)
        assert "degraded" in server.status().ledger
        other.execute("ROLLBACK")
    bans_go_on(server, AFTER)
    assert recorded(server) == {BEFORE, DURING, AFTER}


def test_a_full_disk_stops_no_ban_and_the_ledger_catches_up(tmp_path: Path) -> None:
    need("ip", "nsenter", "nft")
    with disk(tmp_path / "disk", "3m") as state, guarded(tmp_path, state=state) as server:
        server.start()
        bans_go_on(server, BEFORE)
        filler = state / "filler"
        fill(filler)
        many = subjects(150, first=50)
        for one in many:
            server.fail(one)
        server.blocked(*many)
        assert "degraded" in server.status().ledger
        filler.unlink()
        bans_go_on(server, AFTER)
        assert recorded(server) == {BEFORE, AFTER, *many}
        assert server.status().ledger == "ok"
        fill(filler)
        server.end()
        server.start()
        assert {BEFORE, AFTER, *many} <= {*server.kernel()}
        bans_go_on(server, DURING)


def test_a_state_folder_that_turns_read_only_stops_no_ban(tmp_path: Path) -> None:
    need("ip", "nsenter", "nft")
    with disk(tmp_path / "disk", "3m") as state, guarded(tmp_path, state=state) as server:
        server.start()
        bans_go_on(server, BEFORE)
        server.end()
        subprocess.run(["mount", "-o", "remount,ro", state], check=True)
        server.start()
        assert server.kernel() == [BEFORE]
        bans_go_on(server, DURING)
        assert "degraded" in server.status().ledger
        subprocess.run(["mount", "-o", "remount,rw", state], check=True)
        bans_go_on(server, AFTER)
        until(lambda: recorded(server) == {BEFORE, DURING, AFTER}, "the ledger catches up")


def test_a_removed_state_folder_is_made_again(server: Guarded) -> None:
    server.start()
    bans_go_on(server, BEFORE)
    shutil.rmtree(server.state)
    bans_go_on(server, DURING)
    bans_go_on(server, AFTER)
    assert recorded(server) == {BEFORE, DURING, AFTER}
    server.end(signal.SIGKILL)
    server.start()
    assert server.kernel() == sorted([BEFORE, DURING, AFTER])


def overwritten(path: Path, dice: Random) -> None:
    path.write_bytes(dice.randbytes(path.stat().st_size))


def truncated(path: Path, dice: Random) -> None:
    os.truncate(path, path.stat().st_size // 2 + dice.randrange(2000))


def flipped(path: Path, dice: Random) -> None:
    data = bytearray(path.read_bytes())
    for _ in range(200):
        data[dice.randrange(100, len(data))] ^= 1 << dice.randrange(8)
    path.write_bytes(data)


def emptied(path: Path, dice: Random) -> None:
    path.write_bytes(b"")


DAMAGES = (overwritten, truncated, flipped, emptied)
Damage = Callable[[Path, Random], None]


def test_a_database_damaged_before_the_start_stops_nothing(server: Guarded) -> None:
    server.start()
    bans_go_on(server, BEFORE)
    for number, damage in enumerate(DAMAGES):
        server.end()
        damage(database(server), Random(3))  # noqa: S311 # repeatable, not secret
        server.start()
        assert BEFORE in server.kernel()
        (during,) = subjects(1, first=100 + number)
        bans_go_on(server, during)
        assert during in recorded(server)
        assert len(list(server.state.glob("*.corrupt*"))) <= 1
    assert "Traceback" not in server.told()


def test_a_database_damaged_at_run_time_stops_nothing(server: Guarded) -> None:
    server.start()
    bans_go_on(server, BEFORE)
    dice = Random(4)  # noqa: S311 # repeatable, not secret
    banned = {BEFORE}
    for number, damage in enumerate(DAMAGES):
        damage(database(server), dice)
        wal = database(server).with_name("pyfilter.db-wal")
        if wal.exists():
            wal.write_bytes(dice.randbytes(4096))
        for one in subjects(2, first=100 + 2 * number):
            bans_go_on(server, one)
            banned.add(one)
        assert len(list(server.state.glob("*.corrupt*"))) <= 1
        server.end(signal.SIGKILL)
        server.start()
        assert {*server.kernel()} == banned
    assert "Traceback" not in server.told()


NONSENSE = (
    "UPDATE active SET subject = 'nonsense; flush ruleset' WHERE subject = '{}'",
    "UPDATE active SET subject = '203.0.113.300' WHERE subject = '{}'",
    "UPDATE active SET subject = x'ff00' WHERE subject = '{}'",
    "UPDATE active SET until = 'soon' WHERE subject = '{}'",
    "UPDATE active SET until = 9e999 WHERE subject = '{}'",
    "UPDATE active SET until = 1e300 WHERE subject = '{}'",
    "UPDATE subject SET strikes = 'many' WHERE subject = '{}'",
    "UPDATE subject SET last_released = x'00' WHERE subject = '{}'",
    "UPDATE decision SET evidence = x'ff', at = 'never' WHERE subject = '{}'",
    "UPDATE position SET token = 'nowhere'",
)


def test_rows_that_make_no_sense_stop_nothing(server: Guarded) -> None:
    server.start()
    known = subjects(len(NONSENSE), first=10)
    for one in known:
        bans_go_on(server, one)
    server.end()
    with closing(sqlite3.connect(database(server))) as other:
        for one, nonsense in zip(known, NONSENSE, strict=True):
            other.execute(nonsense.format(one))
        other.commit()
    server.start()
    assert {*known} == {*server.kernel()}
    bans_go_on(server, DURING)
    for one in known:
        server.unban(one)
        bans_go_on(server, one)
    assert "Traceback" not in server.told()
