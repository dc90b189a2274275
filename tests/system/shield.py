# The daemon under test, run in the laboratory's server as its operator would.
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from system.lab import ROOT, Host, Wire, end, eventually

CONFIG = """
state_dir = "{folder}/state"
runtime_dir = "{folder}/run"

[defaults]
maxretry = 5
findtime = "60s"
bantime = "{bantime}"
bantime_increment = false

[rules.sshd]
{rule}
"""


class Shield:
    """One daemon with a configuration and a state of its own."""

    def __init__(self, host: Host, folder: Path, *, bantime: str = "600s", rule: str = "") -> None:
        folder.mkdir(parents=True)
        self.host = host
        self.folder = folder
        self.config = folder / "pyfilter.toml"
        self.config.write_text(CONFIG.format(folder=folder, bantime=bantime, rule=rule))
        self.log = folder / "daemon.log"
        self.daemon: subprocess.Popen[bytes] | None = None

    def _argv(self, *argv: str) -> list[str]:
        python = ["env", f"PYTHONPATH={ROOT / 'src'}", sys.executable, "-m", "pyfilter"]
        return self.host.inside(*python, "-c", str(self.config), *argv)

    def command(self, *argv: str) -> subprocess.CompletedProcess[str]:
        """Run a command of pyfilter beside the daemon."""
        return subprocess.run(
            self._argv(*argv), capture_output=True, text=True, timeout=30, check=False
        )

    def start(self) -> None:
        """Start the daemon and wait until it answers."""
        with self.log.open("ab") as log:
            self.daemon = subprocess.Popen(
                self._argv("run"), stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        eventually(self._answers, f"the daemon answers; its log: {self.log}", within=15)

    def _answers(self) -> bool:
        assert self.daemon is not None
        if self.daemon.poll() is not None:
            pytest.fail(f"the daemon ended with {self.daemon.returncode}: {self.log.read_text()}")
        return self.command("status").returncode == 0

    def stop(self, number: int = signal.SIGTERM, within: float = 2.0) -> int:
        """Send a signal and return the exit status; fail when the daemon is still there in time."""
        assert self.daemon is not None
        os.kill(self.daemon.pid, number)
        try:
            return self.daemon.wait(within)
        except subprocess.TimeoutExpired:
            pytest.fail(f"still there {within:g} s after signal {number}: {self.log.read_text()}")

    def bans(self) -> dict[str, dict[str, Any]]:
        """Return what `pyfilter bans -o json` shows, by address."""
        shown = self.command("bans", "-o", "json")
        assert shown.returncode == 0, shown.stderr
        listed: list[dict[str, Any]] = json.loads(shown.stdout)
        by_address = {ban["address"]: ban for ban in listed}
        assert len(by_address) == len(listed), f"an address is listed twice: {shown.stdout}"
        return by_address

    def elements(self) -> list[str]:
        """Return what the kernel's own listing holds in our table, addresses and networks alike."""
        listed = json.loads(self.host.run("nft", "-j", "list", "ruleset"))["nftables"]
        sets = [item["set"] for item in listed if item.get("set", {}).get("table") == "pyfilter"]
        return [_text(element) for each in sets for element in each.get("elem", [])]

    def blocks(self, wire: Wire, target: str) -> bool:
        """Say whether packets of an address are dropped: nothing answers, not even a refusal."""
        return wire.reaches(target, seconds=0.5) == "silence"


def _text(element: Any) -> str:
    value = element["elem"]["val"] if isinstance(element, dict) and "elem" in element else element
    if isinstance(value, dict):
        prefix = value["prefix"]
        return f"{prefix['addr']}/{prefix['len']}"
    return str(value)


@contextmanager
def shield(host: Host, folder: Path, *, bantime: str = "600s", rule: str = "") -> Iterator[Shield]:
    """Keep a running daemon for the time of the block."""
    made = Shield(host, folder, bantime=bantime, rule=rule)
    made.start()
    try:
        yield made
    finally:
        if made.daemon is not None and made.daemon.poll() is None:
            end(made.daemon)
