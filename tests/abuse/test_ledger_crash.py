# kill -9 in the middle of writing: every acknowledged decision is there, and the file is sound.
import os
import random
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from pyfilter.addresses import Network
from pyfilter.ledger import Sqlite
from pyfilter.model import Ban

# Writes batches of bans for ever and says after each which was the last; a line is an acknowledgement.
WRITER = """
import sys
from pyfilter.ledger import Sqlite
from pyfilter.model import Ban, Position

ledger = Sqlite(sys.argv[1]).open()
number = int(sys.argv[2])
while True:
    batch = range(number, number + 1 + number % 7)
    ledger.record([Ban(f"10.0.{n >> 8}.{n & 255}", float(n), None, "x") for n in batch])
    number = batch.stop
    ledger.save_positions([Position("log", str(number))])
    print(number, flush=True)
"""


@pytest.mark.parametrize("seed", range(4))
def test_every_acknowledged_decision_survives_kill_9(tmp_path: Path, seed: int) -> None:
    path, chance, number = tmp_path / "pyfilter.db", random.Random(seed), 0  # noqa: S311 - seeded, no secret
    for _ in range(3):
        number = write_and_kill(path, number, acknowledged=chance.randrange(1, 60))
        with closing(sqlite3.connect(path)) as database:
            assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        ledger = Sqlite(str(path)).open()
        assert ledger.health() == "ok"
        found = sorted(ban.since for ban in ledger.active(1e9))
        assert found[:number] == [float(n) for n in range(number)]
        assert len(found) == len(set(found))
        position = ledger.load_position("log")
        assert position is not None
        assert int(position.token) >= number
        assert len(ledger.past(limit=10**6)) == len(found)
        number = len(found)
        ledger.close()
    assert list(tmp_path.glob("*.corrupt")) == []


def write_and_kill(path: Path, number: int, acknowledged: int) -> int:
    """Let a child write until it has acknowledged so many batches; return where it surely was."""
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), str(number)], stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        for _ in range(acknowledged):
            number = int(child.stdout.readline())
        os.kill(child.pid, signal.SIGKILL)
        rest = child.stdout.read().splitlines(keepends=True)
    whole = [line for line in rest if line.endswith("\n")]
    return int(whole[-1]) if whole else number


def test_a_ban_is_on_its_way_to_the_disk_before_it_is_acknowledged(tmp_path: Path) -> None:
    path = tmp_path / "pyfilter.db"
    ledger = Sqlite(str(path)).open()
    ledger.record([Ban(Network("10.0.0.1"), 1.0, None, "x")])
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as other:
        assert other.execute("SELECT subject FROM active").fetchall() == [("10.0.0.1",)]
    ledger.close()
