# cli/original.py and importing.py: what the original PyFilter left behind is taken over, once and checked.
import json
import shutil
import socket
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import redis
from click.testing import CliRunner

from pyfilter.cli import commands
from pyfilter.cli.original import from_redis, from_sqlite, hash_of, is_base
from pyfilter.errors import RefusedError
from pyfilter.ledger import Sqlite
from pyfilter.settings import load

NOW = time.mktime((2026, 1, 1, 0, 0, 0, 0, 0, -1))
THEN = time.mktime((2018, 3, 22, 14, 18, 18, 0, 0, -1))
ROWS = [
    (1, "203.0.113.13", "2018-03-22 14:18:18", "web01", "IP: 203.0.113.13 via ssh.\n", "GB"),
    (2, "2001:DB8::1", "2018-03-22 14:18:18.123456", "web02", "x\x1b[2J", None),
    (3, "203.0.113.13", "2018-03-22 15:00:00", "web01", "again", "GB"),
    (4, "010.0.0.1", "2018-03-22 14:18:18", "web01", "x", None),
    (5, "192.0.2.7", "yesterday", None, None, None),
]


@pytest.fixture
def base(tmp_path: Path) -> Path:
    path = tmp_path / "pyfilter.db"
    with closing(sqlite3.connect(path)) as made:
        made.execute(
            "CREATE TABLE banned_ip (id INTEGER PRIMARY KEY, ip TEXT, time_banned TEXT, "
            "server_name TEXT, log_msg TEXT, country TEXT)"
        )
        made.executemany("INSERT INTO banned_ip VALUES (?, ?, ?, ?, ?, ?)", ROWS)
        made.commit()
    return path


def test_bans_of_the_sqlite_base_are_taken_for_ever_and_checked(base: Path) -> None:
    taken = from_sqlite(base, NOW)
    assert [(ban.subject, ban.since, ban.until, ban.origin) for ban in taken.bans] == [
        ("203.0.113.13", THEN, None, "web01"),
        ("2001:db8::1", THEN, None, "web02"),
        ("192.0.2.7", NOW, None, ""),
    ]
    assert taken.bans[0].reason == "IP: 203.0.113.13 via ssh."
    assert taken.bans[1].reason == "x\\x1b[2J"
    assert taken.notes == (
        "'010.0.0.1' is no IP address: left out",
        "192.0.2.7: banned at an unknown time: taken as banned now",
    )


def test_the_table_of_the_first_versions_has_addresses_alone(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    with closing(sqlite3.connect(path)) as made:
        made.execute("CREATE TABLE banned_ip (ip text PRIMARY KEY)")
        made.execute("INSERT INTO banned_ip VALUES ('203.0.113.13')")
        made.commit()
    assert [ban.subject for ban in from_sqlite(path, NOW).bans] == ["203.0.113.13"]


def test_another_base_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    with closing(sqlite3.connect(path)) as made:
        made.execute("CREATE TABLE other (a)")
        made.commit()
    assert is_base(path)
    with pytest.raises(RefusedError, match="no such table: banned_ip"):
        from_sqlite(path, NOW)


def test_a_hash_of_redis_names_the_time_under_its_server() -> None:
    fields = {"web01": "2018-03-22 14:18:18", "reason": "r", "country": "GB"}
    entry = hash_of("192.0.2.1", fields)
    assert (entry.server, entry.banned, entry.reason) == ("web01", "2018-03-22 14:18:18", "r")
    named = hash_of(
        "192.0.2.1", fields | {"web02": "2019-01-01 00:00:00", "banned_server": "web02"}
    )
    assert (named.server, named.banned) == ("web02", "2019-01-01 00:00:00")
    assert hash_of("192.0.2.1", {}).server == ""


@pytest.fixture
def redis_url(tmp_path: Path) -> Iterator[str]:
    server = shutil.which("redis-server")
    if not server:
        pytest.skip("redis-server is not installed")
    path = tmp_path / "r.sock"
    arguments = [server, "--port", "0", "--unixsocket", str(path), "--save", "", "--dir"]
    with subprocess.Popen([*arguments, str(tmp_path)], stdout=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 10
        while not _answers(path):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        yield f"unix://{path}"
        process.terminate()


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(path)) == 0


def test_bans_in_redis_are_taken_and_other_keys_left_alone(redis_url: str) -> None:
    with closing(redis.Redis.from_url(redis_url)) as client:
        client.hset("203.0.113.13", mapping={"web01": "2018-03-22 14:18:18", "reason": "r"})
        client.set("192.0.2.1", "Banned")
        client.rpush("latest_10_keys", "203.0.113.13")
        client.hset("session", mapping={"a": "b"})
        taken = from_redis(redis_url, NOW)
        assert client.dbsize() == 4
    assert {(ban.subject, ban.since, ban.origin) for ban in taken.bans} == {
        ("203.0.113.13", THEN, "web01"),
        ("192.0.2.1", NOW, ""),
    }


def test_a_redis_that_does_not_answer_is_one_clear_line() -> None:
    with pytest.raises(RefusedError, match="the bans in Redis cannot be read"):
        from_redis("unix:///nonexistent.sock", NOW)


def run(tmp_path: Path, *arguments: str) -> str:
    config = tmp_path / "pyfilter.toml"
    config.write_text(f'state_dir = "{tmp_path}/state"\nruntime_dir = "{tmp_path}/run"\n')
    result = CliRunner().invoke(commands, ["-c", str(config), "import", "pyfilter", *arguments])
    assert result.exception is None, result.output
    return result.stdout


def test_without_a_daemon_bans_go_into_the_ledger(base: Path, tmp_path: Path) -> None:
    assert run(tmp_path, str(base)) == "took over 3 bans\n"
    assert run(tmp_path, str(base), "-o", "json").startswith('{\n  "bans": 3')
    ledger = Sqlite(str(tmp_path / "state" / "pyfilter.db")).open()
    assert {ban.subject for ban in ledger.active(NOW)} == {
        "203.0.113.13",
        "2001:db8::1",
        "192.0.2.7",
    }
    ledger.close()


def test_a_config_json_becomes_a_pyfilter_toml(tmp_path: Path) -> None:
    folder = tmp_path / "Config"
    folder.mkdir()
    rule = {
        "log_files": "/var/log/own.log",
        "regex_patterns": ["(.{15}) from ([0-9.]+)"],
        "time_format": "%b %d %H:%M:%S",
    }
    config = {"settings": {"failed_attempts": 3, "rules": {"own": rule}}}
    (folder / "config.json").write_text(json.dumps(config))
    target = tmp_path / "new.toml"
    assert run(tmp_path, str(tmp_path), "--to", str(target)) == f"wrote {target}\n"
    assert load(target).rules["own"].limits.maxretry == 3
    assert "[rules.own]" in run(tmp_path, str(folder / "config.json"))
