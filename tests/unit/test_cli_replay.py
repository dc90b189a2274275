# `pyfilter replay`: the daemon's pipeline over old logs, by the logs' own time.
import gzip
import io
import json
import time
from pathlib import Path
from typing import Any

import pytest

from pyfilter.cli import main
from pyfilter.cli.replay import Replay, Report
from pyfilter.matching import library
from pyfilter.model import Limits
from pyfilter.settings.tree import RuleSettings

HOUR = 3600
BEGAN = int(time.time()) // HOUR * HOUR - 24 * HOUR


def line(at: int, said: str, pid: int = 1) -> str:
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(BEGAN + at))
    return f"{stamp} web01 sshd[{pid}]: {said}\n"


def failure(at: int, who: str) -> str:
    return line(at, f"Failed password for root from {who} port {at + 1024} ssh2", at + 1)


def login(at: int, who: str) -> str:
    return line(at, f"Accepted password for anna from {who} port 4711 ssh2")


LOG = "".join(
    [
        *(failure(n, "203.0.113.13") for n in range(8)),  # five come through, three are stopped
        *(failure(600 + n, "203.0.113.14") for n in range(4)),  # one short of a ban
        *(failure(2 * HOUR + n, "203.0.113.13") for n in range(5)),  # when the ban has ended
        *(failure(3 * HOUR + n, "198.51.100.7") for n in range(5)),
        login(3 * HOUR + 60, "198.51.100.7"),
    ]
)
CONFIG = "[defaults]\nbantime = '1h'\n[rules.sshd]\nmaxretry = {maxretry}\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "auth.log").write_text(LOG)
    (tmp_path / "auth.log.2.gz").write_bytes(gzip.compress(LOG.encode()))
    (tmp_path / "five.toml").write_text(CONFIG.format(maxretry=5))
    (tmp_path / "three.toml").write_text(CONFIG.format(maxretry=3))
    return tmp_path


def replayed(capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    with pytest.raises(SystemExit) as ended:
        main([*words])
    assert ended.value.code == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("name", ["auth.log", "auth.log.2.gz"])
def test_bans_fall_and_end_by_the_time_of_the_log(
    folder: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    found = replayed(
        capsys, "-c", str(folder / "five.toml"), "-o", "json", "replay", str(folder / name)
    )
    assert (found["lines"], found["failures"], found["stopped"]) == (23, 22, 3)
    bans = [(ban["address"], ban["strike"]) for ban in found["bans"]]
    assert bans == [("203.0.113.13", 1), ("203.0.113.13", 2), ("198.51.100.7", 1)]


def test_who_logged_in_later_is_doubtful(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("-c", str(folder / "five.toml"), "-o", "json", "replay", str(folder / "auth.log"))
    assert [one["address"] for one in replayed(capsys, *words)["doubtful"]] == ["198.51.100.7"]


def test_two_policies_are_compared(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = replayed(
        capsys,
        "-c",
        str(folder / "five.toml"),
        "-o",
        "json",
        "replay",
        "--policy",
        str(folder / "three.toml"),
        str(folder / "auth.log"),
    )["compared"]
    assert found["only_second"] == ["203.0.113.14"]
    assert found["only_first"] == []
    assert found["both"] == 2


def test_people_are_told_in_a_few_lines(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["-c", str(folder / "five.toml"), "replay", str(folder / "auth.log")])
    said = capsys.readouterr().out
    assert "22 failures: 3 would have been stopped, 19 would have come through" in said
    assert "3 bans of 2 addresses" in said
    assert "doubtful: 198.51.100.7 logged in" in said


def test_a_file_that_is_not_there_is_said_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["replay", "--rule", "sshd", str(tmp_path / "none.log")])
    assert ended.value.code == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_what_is_only_counted_changes_no_result(monkeypatch: pytest.MonkeyPatch) -> None:
    hosts = [f"203.0.113.{n}" for n in range(40)] + [f"2001:db8:{n:x}::1" for n in range(10)]
    lines = [failure(n // 4, hosts[n * n % 47]) for n in range(30_000)]
    lines += [login(n, hosts[n % 50]) for n in range(7500, 7600)]
    rules = [RuleSettings(library.load("sshd"), Limits(bantime=600.0))]

    def replayed() -> Report:
        replay = Replay(rules)
        for _ in replay.read(io.BytesIO("".join(lines).encode()), BEGAN + 10_000):
            pass
        return replay.report

    quick = replayed()
    monkeypatch.setattr(Replay, "_spare", lambda *_: None)
    assert quick == replayed()
    assert quick.failures == 30_000
    assert len(quick.bans) > len(quick.banned()) > 10
