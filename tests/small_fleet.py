# Members of a fleet in one process around a real Redis, with dicts in place of enforcers.
import asyncio
import contextlib
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path

import pytest

from pyfilter.addresses import Network
from pyfilter.fleet.allowances import Allowances, Ledge
from pyfilter.fleet.limits import Limits
from pyfilter.fleet.link import open_client
from pyfilter.fleet.member import Member
from pyfilter.fleet.seat import Seat
from pyfilter.fleet.store import Store
from pyfilter.model import Allowance, Ban, Decision, Release

KEY = b"k" * 32


@contextlib.contextmanager
def real_redis(folder: Path) -> Iterator[str]:
    """Run a redis-server of our own on a Unix socket and return its address."""
    if not shutil.which("redis-server"):
        pytest.skip("redis-server is not installed")
    place = folder / "r.sock"
    command = ["redis-server", "--port", "0", "--unixsocket", str(place), "--save", ""]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL) as server:
        deadline = time.monotonic() + 10
        while not place.exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        yield f"unix://{place}"
        server.terminate()


class Server:
    """A member with a dict in place of an enforcer's bans."""

    def __init__(self, name: str, url: str, prefix: str, key: bytes = KEY) -> None:
        self.bans: dict[str, Ban] = {}
        self.released: dict[str, float] = {}
        self.allowed: dict[str, Allowance] = {}
        self.kept = ""
        self.name = name
        self.seat = Seat(
            name=name,
            key=key,
            open_store=lambda: Store(open_client(url), open_client(url, patient=True), prefix, key),
            apply=self.take,
            bans=lambda: list(self.bans.values()),
            standing=self.bans.get,
            released_at=lambda subject: self.released.get(subject, 0.0),
            clock=time.time,
            allowances=Allowances(self.ledge(), key, time.time()),
        )
        self.member = Member(self.seat, Limits(None))
        self.task: asyncio.Task[None] | None = None

    def ledge(self) -> Ledge:
        def allow(allowance: Allowance) -> None:
            self.allowed[allowance.entry] = allowance

        def disallow(entry: str) -> None:
            self.allowed.pop(entry, None)

        return Ledge(allow, disallow, lambda: self.kept, lambda kept: setattr(self, "kept", kept))

    @property
    def runs(self) -> bool:
        return self.task is not None and not self.task.done()

    def take(self, decisions: Sequence[Decision]) -> None:
        for decision in decisions:
            if isinstance(decision, Ban):
                self.bans[decision.subject] = decision
            else:
                self.bans.pop(decision.subject, None)
                self.released[decision.subject] = decision.at
            self.member.tell(decision)

    def ban(self, subject: Network, seconds: float = 600.0) -> None:
        now, known = time.time(), self.bans.get(subject)
        if known is None or (known.until or 0.0) < now + seconds:
            self.take([Ban(subject, now, now + seconds, "5 failures", "sshd", origin=self.name)])

    def release(self, subject: Network) -> None:
        if subject in self.bans:
            self.take([Release(subject, time.time(), "operator")])

    def start(self) -> None:
        self.member = Member(self.seat, Limits(None)) if self.task else self.member
        self.task = asyncio.create_task(self.member.run())

    async def stop(self) -> None:
        if self.task:
            self.task.cancel()
            await asyncio.gather(self.task, return_exceptions=True)


@contextlib.asynccontextmanager
async def fleet(*servers: Server) -> AsyncIterator[None]:
    for server in servers:
        server.start()
    try:
        yield
    finally:
        for server in servers:
            await server.stop()


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(8):
        while not true():
            await asyncio.sleep(0.01)
