# Debian's crowdsec-firewall-bouncer takes our bans over the HTTP API and drops packets by them.
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

BOUNCER = shutil.which("crowdsec-firewall-bouncer")
pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root for a network namespace"),
    pytest.mark.skipif(BOUNCER is None, reason="crowdsec-firewall-bouncer is not installed"),
]
X = "203.0.113.13"
CONFIG = """
mode: nftables
pid_dir: {folder}
update_frequency: 1s
daemonize: false
log_mode: stdout
log_level: info
api_url: http://127.0.0.1:8080/
api_key: {key}
disable_ipv6: false
deny_action: DROP
supported_decisions_types: [ban]
blacklists_ipv4: crowdsec-blacklists
blacklists_ipv6: crowdsec6-blacklists
nftables:
  ipv4: {{enabled: true, set-only: false, table: crowdsec, chain: crowdsec-chain}}
  ipv6: {{enabled: true, set-only: false, table: crowdsec6, chain: crowdsec6-chain}}
prometheus: {{enabled: false}}
"""


class Place:
    """A network namespace in which the daemon observes and the bouncer blocks."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self.name = folder, name
        self.running: list[subprocess.Popen[bytes]] = []
        self.config = folder / "pyfilter.toml"
        self.config.write_text(
            f'state_dir = "{folder}/state"\nruntime_dir = "{folder}/run"\n'
            f'[rules.sshd]\nlogpath = "{folder}/auth.log"\n'
        )
        (folder / "auth.log").touch()

    def start(self, *command: str) -> None:
        with (self.folder / f"{len(self.running)}.log").open("wb") as log:
            inside = ["ip", "netns", "exec", self.name, *command]
            self.running.append(subprocess.Popen(inside, stdout=log, stderr=log))

    def pyfilter(self, *words: str) -> str:
        command = [sys.executable, "-m", "pyfilter", "-c", str(self.config), *words]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def ruleset(self) -> str:
        command = ["ip", "netns", "exec", self.name, "nft", "list", "ruleset"]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def bouncer_holds(self, address: str) -> bool:
        _, _, theirs = self.ruleset().partition("table ip crowdsec")
        return address in theirs

    def logs(self) -> str:
        return "\n".join(log.read_text(errors="replace") for log in self.folder.glob("*.log"))


def until(true: Callable[[], bool], place: Place, patience: float = 20.0) -> None:
    deadline = time.monotonic() + patience
    while not true():
        assert time.monotonic() < deadline, place.logs()
        time.sleep(0.05)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    name = f"pfbnc-{os.getpid()}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    subprocess.run(["ip", "-n", name, "link", "set", "lo", "up"], check=True)
    place = Place(tmp_path, name)
    try:
        yield place
    finally:
        for process in reversed(place.running):
            process.terminate()
            process.wait(10)
        subprocess.run(["ip", "netns", "del", name], check=True)


def test_the_bouncer_of_debian_enforces_our_bans(place: Place) -> None:
    assert BOUNCER is not None
    pyfilter = [sys.executable, "-m", "pyfilter", "-c", str(place.config)]
    place.start(*pyfilter, "run")
    until((place.folder / "run/control.sock").exists, place)
    key = place.pyfilter("bouncers", "add", "firewall").strip()
    place.start(*pyfilter, "serve")
    settings = place.folder / "bouncer.yaml"
    settings.write_text(CONFIG.format(folder=place.folder, key=key))
    until(lambda: "Serving bouncers" in place.logs(), place)
    place.start(BOUNCER, "-c", str(settings))
    until(lambda: "table ip crowdsec" in place.ruleset(), place)
    place.pyfilter("ban", X, "--for", "1h")
    until(lambda: place.bouncer_holds(X), place)
    place.pyfilter("unban", X)
    until(lambda: not place.bouncer_holds(X), place)
