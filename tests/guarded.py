# A daemon that really runs, in a network namespace of its own: its log, its kernel, its answers.
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import TypeVar

from pyfilter.addresses import network
from pyfilter.control.answers import (
    BansAnswer,
    OutcomeRow,
    OutcomesAnswer,
    ReloadAnswer,
    StatusAnswer,
)
from pyfilter.control.client import Client
from pyfilter.control.requests import (
    AllowAdd,
    AskStatus,
    BanSubjects,
    ListBans,
    Reload,
    UnbanSubjects,
)
from pyfilter.errors import NotRunningError

T = TypeVar("T")
ROOT = Path(__file__).parents[1]
PATIENCE = 20.0  # seconds; on a busy machine
_RUNS = count(1)
CONFIG = """state_dir = "{state}"
runtime_dir = "{folder}/run"
[defaults]
maxretry = 5
findtime = "60s"
bantime = "600s"
bantime_increment = false
[rules.sshd]
logpath = "{log}"
"""


def until(look: Callable[[], T], what: str, within: float = PATIENCE) -> T:
    """Return the first true thing that `look` returns; fail when there is none in time."""
    deadline = time.monotonic() + within
    while not (seen := look()):
        assert time.monotonic() < deadline, f"not within {within:g} s: {what}"
        time.sleep(0.02)
    return seen


def failure(address: str, number: int, user: str = "root") -> str:
    """Return one line of sshd about one wrong password."""
    stamp = time.strftime("%b %e %H:%M:%S")
    return (
        f"{stamp} web01 sshd[{100 + number}]: Failed password for {user} "
        f"from {address} port {1000 + number} ssh2\n"
    )


class Guarded:
    """One server: its namespace, its log file and its daemon."""

    def __init__(self, folder: Path, netns: str, more: str = "", state: Path | None = None) -> None:
        self.netns, self.folder = netns, folder
        self.log, self.out = folder / "auth.log", folder / "out"
        self.state = state or folder / "state"
        self.log.touch()
        self.config = folder / "pyfilter.toml"
        self.config.write_text(CONFIG.format(folder=folder, state=self.state, log=self.log) + more)
        self.daemon: subprocess.Popen[bytes] | None = None
        self._numbers = count(1)

    def inside(self, *argv: str) -> list[str]:
        return ["nsenter", f"--net=/run/netns/{self.netns}", *argv]

    def run(self, *argv: str) -> str:
        """Run a command in the namespace; it must succeed."""
        done = subprocess.run(self.inside(*argv), capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{argv}: {done.stderr}"
        return done.stdout

    def begin(self, *wrap: str) -> subprocess.Popen[bytes]:
        """Start the daemon, perhaps wrapped in another program, and do not wait."""
        argv = ["env", f"PYTHONPATH={ROOT / 'src'}", sys.executable, "-m", "pyfilter"]
        with self.out.open("ab") as out:
            self.daemon = subprocess.Popen(
                self.inside(*wrap, *argv, "-c", str(self.config), "run"), stdout=out, stderr=out
            )
        return self.daemon

    def start(self, *wrap: str) -> None:
        """Start the daemon and wait until it answers."""
        daemon = self.begin(*wrap)
        until(lambda: daemon.poll() is not None or self.answers(), f"it answers: {self.told()}")
        assert daemon.poll() is None, self.told()

    def answers(self) -> bool:
        with suppress(NotRunningError):
            return bool(self.status())
        return False

    def told(self) -> str:
        return self.out.read_text(errors="replace") if self.out.exists() else ""

    def end(self, number: int = signal.SIGTERM, within: float = PATIENCE) -> int:
        assert self.daemon is not None
        self.daemon.send_signal(number)
        return self.daemon.wait(within)

    def client(self) -> Client:
        return Client(self.folder / "run" / "control.sock")

    def status(self) -> StatusAnswer:
        with self.client() as client:
            return client.ask(AskStatus(), StatusAnswer)

    def bans(self) -> list[str]:
        """Return what `pyfilter bans` lists."""
        with self.client() as client:
            return [row.subject for row in client.ask(ListBans(limit=5000), BansAnswer).bans]

    def ban(self, *subjects: str, seconds: float | None = None) -> None:
        with self.client() as client:
            client.ask(BanSubjects(list(subjects), seconds), OutcomesAnswer)

    def unban(self, *subjects: str) -> None:
        with self.client() as client:
            client.ask(UnbanSubjects(list(subjects)), OutcomesAnswer)

    def allow(self, entry: str) -> None:
        with self.client() as client:
            client.ask(AllowAdd(entry), OutcomesAnswer)

    def outcome(self, subject: str) -> OutcomeRow:
        """Return what came of banning a subject by hand."""
        with self.client() as client:
            (row,) = client.ask(BanSubjects([subject]), OutcomesAnswer).outcomes
        return row

    def reload(self) -> None:
        with self.client() as client:
            client.ask(Reload(), ReloadAnswer)

    def write(self, *lines: str | bytes) -> None:
        """Append to the log in one write."""
        text = b"".join(
            line if isinstance(line, bytes) else line.encode("utf-8", "surrogateescape")
            for line in lines
        )
        with self.log.open("ab") as log:
            log.write(text)

    def fail(self, address: str, times: int = 5, user: str = "root") -> None:
        self.write(*(failure(address, next(self._numbers), user) for _ in range(times)))

    def kernel(self) -> list[str]:
        """Return what the kernel's own listing holds in the sets of banned subjects."""
        listed = json.loads(self.run("nft", "-j", "list", "ruleset"))["nftables"]
        sets = [item["set"] for item in listed if item.get("set", {}).get("table") == "pyfilter"]
        found = []
        for each in (one for one in sets if one["name"].startswith("banned")):
            _, _, length = each["name"].partition("_")
            for element in each.get("elem", []):
                value = element["elem"]["val"]
                found.append(str(network(f"{value}/{length}" if length else value)))
        return sorted(found)

    def blocked(self, *subjects: str, within: float = PATIENCE) -> None:
        """Wait until the kernel holds subjects."""
        until(lambda: {*subjects} <= {*self.kernel()}, f"{subjects} blocked: {self.told()}", within)

    def resident(self) -> int:
        """Return the daemon's memory in bytes."""
        assert self.daemon is not None
        pages = int(Path(f"/proc/{self.daemon.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")


@contextmanager
def namespace() -> Iterator[str]:
    """Make a network namespace with its loopback up."""
    name = f"pfabuse-{os.getpid()}-{next(_RUNS)}"
    _run("ip", "netns", "add", name)
    try:
        _run("ip", "-n", name, "link", "set", "lo", "up")
        yield name
    finally:
        _run("ip", "netns", "delete", name)


@contextmanager
def guarded(folder: Path, more: str = "", state: Path | None = None) -> Iterator[Guarded]:
    """Make a server; whatever daemon it has at the end is ended."""
    with namespace() as netns:
        made = Guarded(folder, netns, more, state)
        try:
            yield made
        finally:
            if made.daemon is not None and made.daemon.poll() is None:
                made.end(signal.SIGKILL)


def _run(*argv: str) -> None:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{argv}: {done.stderr}"


def subjects(number: int, first: int = 1) -> Sequence[str]:
    """Return so many addresses that nobody else has."""
    return [f"203.0.{100 + n // 250}.{n % 250 + 1}" for n in range(first, first + number)]
