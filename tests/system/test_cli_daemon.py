# The commands against a daemon that really runs, observing only: no privilege is needed.
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

import pyfilter

SOURCE = str(Path(pyfilter.__file__).parents[1])
X = "203.0.113.9"
PATIENCE = 20.0  # seconds; on a busy machine


def until(reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not reached():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


class Place:
    """A daemon with its configuration, its log and its commands."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.log = folder, folder / "auth.log"
        self.log.touch()
        self.config = folder / "pyfilter.toml"
        self.config.write_text(
            f'state_dir = "{folder}/state"\nruntime_dir = "{folder}/run"\n'
            f'[rules.sshd]\nlogpath = "{self.log}"\n'
        )
        self.environment = {**os.environ, "PYTHONPATH": SOURCE, "PYFILTER_CONFIG": str(self.config)}
        self.environment.pop("PYFILTER_SOCKET", None)
        self.command = [sys.executable, "-m", "pyfilter"]
        self.daemon = self.start()

    def start(self) -> subprocess.Popen[bytes]:
        with (self.folder / "out").open("ab") as out:
            daemon = subprocess.Popen(
                [*self.command, "run", "--observe"], stdout=out, stderr=out, env=self.environment
            )
        until(lambda: self.run("status").returncode == 0 or daemon.poll() is not None)
        return daemon

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self.command, *arguments],
            capture_output=True,
            text=True,
            env=self.environment,
            check=False,
        )

    def ask(self, *arguments: str) -> Any:
        return json.loads(self.run("-o", "json", *arguments).stdout)

    def banned(self) -> list[str]:
        return [ban["address"] for ban in self.ask("bans")]

    def fail(self, address: str, times: int = 5) -> None:
        with self.log.open("a") as log:
            for number in range(times):
                stamp = time.strftime("%b %e %H:%M:%S")
                log.write(
                    f"{stamp} web01 sshd[{100 + number}]: Failed password for root "
                    f"from {address} port {1000 + number} ssh2\n"
                )

    def end(self, number: int = signal.SIGTERM) -> int:
        self.daemon.send_signal(number)
        return self.daemon.wait(PATIENCE)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path)
    yield place
    if place.daemon.poll() is None:
        place.end()


def test_a_ban_is_seen_explained_and_lifted(place: Place) -> None:
    place.fail(X)
    until(lambda: place.banned() == [X])
    [ban] = place.ask("bans")
    assert (ban["rule"], ban["strike"], ban["in_kernel"]) == ("sshd", 1, False)
    why = place.ask("why", X)
    assert why["banned"]
    assert [line["line"].count(X) for line in why["evidence"]] == [1] * 5
    status = place.ask("status")
    assert [(s["lines"], s["state"]) for s in status["sources"]] == [(5, "ok")]
    assert status["firewall"]["drift"] == 0
    assert place.run("unban", X).stdout == f"lifted {X}\n"
    assert place.banned() == []
    assert place.run("unban", X).returncode == 1


def test_what_is_allowed_is_released_and_not_banned_again(place: Place) -> None:
    assert place.run("ban", X, "--for", "1d").returncode == 0
    assert place.run("allow", "add", f"{X}/24", "--note", "the office").returncode == 0
    assert place.banned() == []
    assert place.run("ban", X).returncode == 1
    place.fail(X)
    place.fail("198.51.100.7")
    until(lambda: place.banned() == ["198.51.100.7"])
    assert place.run("allow", "remove", "203.0.113.0/24").returncode == 0
    assert place.run("ban", X).returncode == 0


def test_a_wrong_configuration_is_not_taken_over(place: Place) -> None:
    good = place.config.read_text()
    place.config.write_text(good + "maxretri = 3\n")
    assert place.run("check").returncode == 2
    found = place.run("reload")
    assert (found.returncode, found.stderr.count("\n")) == (2, 1)
    place.fail(X)
    until(lambda: place.banned() == [X])
    place.config.write_text(good + "maxretry = 2\n")
    assert place.run("check").returncode == 0
    assert place.run("reload").returncode == 0
    assert place.ask("status")["rules"][0]["maxretry"] == 2


def test_a_second_daemon_is_refused_and_the_first_goes_on(place: Place) -> None:
    second = place.run("run", "--observe")
    assert second.returncode == 1
    assert "runs already" in second.stderr
    assert place.run("status").returncode == 0


def test_a_killed_daemon_leaves_nothing_in_the_way(place: Place) -> None:
    assert place.run("ban", X, "--for", "-1").returncode == 0
    place.end(signal.SIGKILL)
    assert place.run("status").returncode == 3
    place.daemon = place.start()
    assert place.banned() == [X]
    assert place.end() == 0
    assert place.run("status").returncode == 3


def test_a_thousand_silent_clients_hold_up_no_ban(place: Place) -> None:
    with ExitStack() as stack:
        for _ in range(900):
            client = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
            client.connect(str(place.folder / "run" / "control.sock"))
        place.fail(X)
        until(lambda: place.banned() == [X])
