# The laboratory of the system tests: network namespaces, wires between them, processes inside.
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import IO, TypeVar

import pytest

ROOT = Path(__file__).parents[2]
T = TypeVar("T")
_RUNS, _CABLES = count(1), count(1)
_PREPARE = """
set -eu
mount --make-rprivate /
mkdir -p "$1/dev" "$1/etc"
mount -t tmpfs tmpfs "$1/dev"
for node in null zero full random urandom tty ptmx fd stdin stdout stderr; do cp -a /dev/$node "$1/dev/"; done
mkdir "$1/dev/pts" "$1/dev/shm"
mount --bind /dev/pts "$1/dev/pts"
cp -a /etc/. "$1/etc/"
mount --bind "$1/etc" /etc
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /var/log
mkdir -p /run/sshd /run/lock
mount --rbind "$1/dev" /dev
echo ready
exec sleep infinity
"""
_LOGIN = ("HOME=/root", "LANG=C.UTF-8", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin")
_CONNECT = """
import socket, sys
source, target, port, seconds = sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
try:
    socket.create_connection((target, port), seconds, (source, 0)).close()
except TimeoutError:
    print("silence")
except OSError as error:
    print(error.strerror)
else:
    print("connected")
"""


def need(*tools: str) -> None:
    """Skip the test, with the reason, where it cannot run."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin:/usr/lib/systemd"
    if missing := [tool for tool in tools if shutil.which(tool, path=path) is None]:
        pytest.skip(f"not installed: {', '.join(missing)}")


def eventually(look: Callable[[], T], what: str, within: float = 10.0) -> T:
    """Return the first true thing that `look` returns; fail when there is none in time."""
    deadline = time.monotonic() + within
    while True:
        if seen := look():
            return seen
        if time.monotonic() > deadline:
            pytest.fail(f"not within {within:g} s: {what}")
        time.sleep(0.02)


def run(*argv: str, timeout: float = 30.0) -> str:
    """Run a command and return its standard output; a failure shows all that it said."""
    done = subprocess.run(argv, capture_output=True, text=True, timeout=timeout, check=False)
    if done.returncode:
        pytest.fail(f"{' '.join(argv)} ended with {done.returncode}: {done.stdout}{done.stderr}")
    return done.stdout


@contextmanager
def running(argv: list[str], log: Path | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """Keep a child process for the time of the block; its output goes to `log`."""
    with ExitStack() as stack:
        out: IO[bytes] | int = stack.enter_context(log.open("ab")) if log else subprocess.DEVNULL
        child = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT
        )
        try:
            yield child
        finally:
            end(child)


def end(child: subprocess.Popen[bytes], seconds: float = 5.0) -> None:
    """Ask a child to end, and make it end when it will not."""
    child.terminate()
    try:
        child.wait(seconds)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


@dataclass(frozen=True)
class Host:
    """A network namespace, with mounts of its own where it has a holder."""

    name: str
    holder: int = 0
    booted: bool = False  # holder is the init of a container

    def inside(self, *argv: str) -> list[str]:
        """Return the command line that runs `argv` in here; exec all the way, no process between."""
        if self.booted:
            return ["nsenter", f"--target={self.holder}", "--all", "env", "-i", *_LOGIN, *argv]
        mounts = [f"--mount=/proc/{self.holder}/ns/mnt"] if self.holder else []
        return ["nsenter", f"--net=/run/netns/{self.name}", *mounts, *argv]

    def run(self, *argv: str, timeout: float = 30.0) -> str:
        return run(*self.inside(*argv), timeout=timeout)

    def reaches(self, target: str, source: str, port: int = 22, seconds: float = 1.0) -> str:
        """Try a TCP connection: "connected", "silence" (nothing answers) or the error."""
        argv = [sys.executable, "-ISc", _CONNECT, source, target, str(port), str(seconds)]
        return self.run(*argv).strip()

    def path(self, path: str) -> Path:
        """Return where a file of this host can be seen from outside."""
        return Path(f"/proc/{self.holder}/root{path}") if self.holder else Path(path)


@dataclass(frozen=True)
class Wire:
    """One end of a cable: who hangs on it, and by which addresses."""

    host: Host
    v4: tuple[str, ...]
    v6: tuple[str, ...]

    def reaches(self, target: str, seconds: float = 1.0) -> str:
        """Try the server from our first address of the target's family."""
        return self.host.reaches(target, (self.v6 if ":" in target else self.v4)[0], 22, seconds)


House = Callable[[str, Path, ExitStack], Host]  # where the server in a network namespace lives
SERVER_V4, SERVER_V6 = "192.0.2.1", "2001:db8:a::1"


class Lab:
    """A server and those who come to it, each in a network namespace of its own."""

    def __init__(self, stack: ExitStack, folder: Path, house: House) -> None:
        self._stack = stack
        self._prefix = f"pfsys{os.getpid()}x{next(_RUNS)}"
        folder.mkdir(parents=True)
        self.folder = folder
        name = self._namespace("server")
        self.server = house(name, folder, stack)

    def _namespace(self, role: str) -> str:
        name = f"{self._prefix}-{role}"
        run("ip", "netns", "add", name)
        self._stack.callback(run, "ip", "netns", "delete", name)
        run("ip", "-n", name, "link", "set", "lo", "up")
        return name

    def guest(self, role: str, v4: tuple[str, ...], v6: tuple[str, ...]) -> Wire:
        """Wire a new host to the server; it has these addresses and no other way out."""
        wire = Wire(Host(self._namespace(role)), v4, v6)
        self.plug(wire, self.server, SERVER_V4, SERVER_V6)
        return wire

    def plug(self, wire: Wire, server: Host, v4: str, v6: str = "") -> None:
        """Lay a cable from a host to a server that it shall reach by these addresses."""
        role = wire.host.name.rpartition("-")[2]
        port, uplink = f"to-{role}"[:15], f"up{next(_CABLES)}"
        peer = ["type", "veth", "peer", "name", uplink, "netns", wire.host.name]
        run("ip", "link", "add", "name", port, "netns", server.name, *peer)
        run("ip", "-n", server.name, "link", "set", port, "up")
        run("ip", "-n", wire.host.name, "link", "set", uplink, "up")
        # IPv6 neighbours are asked for on the wire itself, so the address must be there, not on lo.
        for target in filter(None, (v4, v6)):
            _add(server, port, target)
        for address in (*wire.v4, *wire.v6):
            _add(wire.host, uplink, address)
            run("ip", "-n", server.name, "route", "add", address, "dev", port)
        for target in filter(None, (v4, v6)):
            run("ip", "-n", wire.host.name, "route", "add", target, "dev", uplink)


def _add(host: Host, port: str, address: str) -> None:
    nodad = ["nodad"] if ":" in address else []
    run("ip", "-n", host.name, "addr", "add", address, "dev", port, *nodad)


def own_mounts(netns: str, folder: Path, stack: ExitStack) -> Host:
    """House the server in private mounts: what it logs and who may log in stays inside."""
    machine, log = folder / "machine", folder / "holder.log"
    machine.mkdir()
    argv = ["unshare", "--mount", "bash", "-c", _PREPARE, "bash", str(machine)]
    holder = stack.enter_context(running([*Host(netns).inside(), *argv], log))
    eventually(lambda: "ready" in log.read_text(), "private mounts")
    return Host(netns, holder.pid)


@contextmanager
def laboratory(folder: Path, house: House = own_mounts) -> Iterator[Lab]:
    """Build a server's machine; everything is taken down at the end."""
    need("ip", "nsenter", "unshare", "nft")
    with ExitStack() as stack:
        yield Lab(stack, folder, house)
