# Broken configurations: `pyfilter check` and the running daemon agree on each, and none replaces a good one.
import contextlib
import io
import json
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyfilter.cli import main
from pyfilter.control.answers import ReloadAnswer, StatusAnswer
from pyfilter.control.client import Client
from pyfilter.control.requests import AskStatus, Reload
from pyfilter.errors import PyfilterError

TOML = """state_dir = "{folder}/state"
runtime_dir = "{folder}/run"
[defaults]
maxretry = 5
findtime = "10m"
bantime = "1h"
ignoreip = ["127.0.0.0/8", "::1"]
[firewall]
type = "observe"
[rules.sshd]
logpath = "{folder}/auth.log"
maxretry = 3
[rules.myapp]
logpath = "{folder}/myapp.log"
pattern = ['^<time> login failed for user <user> from <ip>$']
"""
JSON = {
    "state_dir": "{folder}/state",
    "runtime_dir": "{folder}/run",
    "settings": {
        "failed_attempts": 5,
        "request_time": 5,
        "firewall": "observe",
        "ignored_ips": ["127.0.0.1"],
        "rules": {
            "ssh": {"log_files": "{folder}/auth.log"},
            "own": {
                "log_files": "{folder}/own.log",
                "regex_patterns": [
                    "^(.{15}) failed from ([0-9.]+)$",
                    ["(.{15}) bad ([0-9.]+)", True],
                ],
                "time_format": "%b %d %H:%M:%S",
            },
        },
    },
    "logging": {"active": False, "directory": ""},
}


class Running:
    def __init__(self, config: Path) -> None:
        self.config, self.good = config, config.read_text()
        self.socket = config.parent / "run" / "control.sock"
        command = [sys.executable, "-m", "pyfilter", "-c", str(config), "run"]
        self.process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + 30
        while not self.socket.exists():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        self.client = Client(self.socket)

    def said_to_reload(self) -> str:
        try:
            self.client.ask(Reload(), ReloadAnswer)
        except PyfilterError as error:
            return str(error)
        return ""

    def rules(self) -> set[str]:
        return {rule.name for rule in self.client.ask(AskStatus(), StatusAnswer).rules}


@pytest.fixture(params=["pyfilter.toml", "config.json"])
def running(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Running]:
    template = TOML if request.param == "pyfilter.toml" else json.dumps(JSON, indent=1)
    config = tmp_path / str(request.param)
    config.write_text(template.replace("{folder}", str(tmp_path)))
    daemon = Running(config)
    yield daemon
    daemon.client.close()
    daemon.process.terminate()
    daemon.process.communicate(timeout=10)
    assert daemon.process.returncode == 0


def damaged(text: str, dice: random.Random) -> str:
    """Change what a slip of the fingers would."""
    lines = text.splitlines(keepends=True)
    number = dice.randrange(3, len(lines))  # the folders stay
    line = lines[number]
    where = dice.randrange(len(line))
    match dice.randrange(6):
        case 0:
            lines[number] = line[:where] + line[where + 1 :]
        case 1:
            lines[number] = line[:where] + dice.choice("x_0\"'-[]{}(*\\<") + line[where:]
        case 2:
            del lines[number]
        case 3:
            lines.insert(dice.randrange(3, len(lines)), line)
        case 4:
            lines[number] = line.replace(dice.choice("aeiot"), dice.choice("aeiot"))
        case _:
            lines[number] = line.replace("5", dice.choice(["-1", '"5"', "true", "0", "1e9", "[5]"]))
    return "".join(lines)


def check(config: Path) -> tuple[int, str]:
    errors = io.StringIO()
    with contextlib.redirect_stderr(errors), pytest.raises(SystemExit) as left:
        main(["check", str(config)])
    return int(left.value.code or 0), errors.getvalue()


def test_check_and_the_daemon_agree_on_a_hundred_damaged_files_each(running: Running) -> None:
    dice = random.Random(7)  # noqa: S311 # repeatable, not secret
    standing = running.rules()
    refused = 0
    for _ in range(100):
        running.config.write_text(damaged(running.good, dice))
        code, line = check(running.config)
        said = running.said_to_reload()
        assert (code == 2) == bool(said)
        if said:
            refused += 1
            assert said in line
            assert line.count("\n") == 1
            assert running.rules() == standing
        standing = running.rules()
    assert 20 < refused < 100
    running.config.write_text(running.good)
    assert running.said_to_reload() == ""
