# A network namespace of the test's own, so that nothing here ever touches the machine's firewall.
import ctypes
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from msgspec import Struct

from pyfilter.addresses import network
from pyfilter.model import Ban, Release

_CLONE_NEWNET = 0x40000000
_LIBC = ctypes.CDLL(None, use_errno=True)
SERVER, ATTACKER, FRIEND = "10.99.0.1", "10.99.0.2", "10.99.0.3"
SERVER6, ATTACKER6 = "fd99::1", "fd99:0:0:1::2"
PORT = 8022
SHORT = 0.3  # seconds in which an answer over the wire comes many times over
PATIENCE = 10.0  # seconds; long enough for the busiest machine
NOW = 1_000_000.0
OURS = Path("/proc/thread-self/ns/net")


def may_make() -> bool:
    return os.geteuid() == 0


def ban(subject: str, seconds: float | None = 600.0) -> Ban:
    return Ban(network(subject), NOW, None if seconds is None else NOW + seconds, "test")


def release(subject: str) -> Release:
    return Release(network(subject), NOW, "operator")


@contextmanager
def fresh() -> Iterator[None]:
    """Move this thread, and what it starts, into a new network namespace and back."""
    home = os.open(OURS, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _call(_LIBC.unshare(_CLONE_NEWNET))
        try:
            yield
        finally:
            _call(_LIBC.setns(home, _CLONE_NEWNET))
    finally:
        os.close(home)


@contextmanager
def inside(place: int) -> Iterator[None]:
    """Move this thread into the network namespace behind a descriptor and back."""
    home = os.open(OURS, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _call(_LIBC.setns(place, _CLONE_NEWNET))
        try:
            yield
        finally:
            _call(_LIBC.setns(home, _CLONE_NEWNET))
    finally:
        os.close(home)


def _call(result: int) -> None:
    if result != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


class Wire(Struct, frozen=True):
    """The attacker's end of the wire; this thread stands at the server's."""

    far: int

    def connect(
        self, source: str = ATTACKER, server: str = SERVER, seconds: float = PATIENCE
    ) -> socket.socket:
        """Connect from the far end; raises TimeoutError where nothing answers."""
        family = socket.AF_INET6 if ":" in source else socket.AF_INET
        with inside(self.far):
            made = socket.socket(family, socket.SOCK_STREAM)
        made.settimeout(seconds)
        try:
            made.bind((source, 0))
            made.connect((server, PORT))
        except OSError:
            made.close()
            raise
        return made

    def reached(self, source: str = ATTACKER, server: str = SERVER) -> bool:
        """Say whether an answer comes, however busy the machine is."""
        deadline = time.monotonic() + PATIENCE
        while self.stopped(source, server):
            if time.monotonic() > deadline:
                return False
        return True

    def stopped(self, source: str = ATTACKER, server: str = SERVER) -> bool:
        try:
            self.connect(source, server, SHORT).close()
        except OSError:
            return True
        return False


def run(*command: str) -> str:
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _dress(near: bool) -> None:
    name = "pffw-near" if near else "pffw-far"
    addresses = (
        [f"{SERVER}/24", f"{SERVER6}/32"]
        if near
        else [f"{ATTACKER}/24", f"{FRIEND}/24", f"{ATTACKER6}/32"]
    )
    for address in addresses:
        run("ip", "address", "add", address, "dev", name, *(["nodad"] if ":" in address else []))
    for device in ("lo", name):
        run("ip", "link", "set", device, "up")


@contextmanager
def _far() -> Iterator[int]:
    with fresh():
        place = os.open(OURS, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield place
    finally:
        os.close(place)


@contextmanager
def wired() -> Iterator[Wire]:
    """Stand in a namespace that is wired to another, where the attacker and a friend live."""
    with _far() as far, fresh():
        end = f"/proc/{os.getpid()}/fd/{far}"
        run("ip", "link", "add", "pffw-near", "type", "veth", "peer", "name", "pffw-far")
        run("ip", "link", "set", "pffw-far", "netns", end)
        _dress(near=True)
        with inside(far):
            _dress(near=False)
        with closing(
            socket.create_server(("::", PORT), family=socket.AF_INET6, dualstack_ipv6=True)
        ):
            yield Wire(far)
