# How soon does a ban of one server stand on all servers of a fleet, and what does Redis pay for it?
#
#   python bench/fleet.py [--servers 50 100 200] [--bans 100] [--seconds 10]
#
# A real redis-server; the servers are light: two real connections each (one waits for the stream
# as a member does, one gives the signs of life), but neither ledger nor firewall. Bans are published
# by the store of the product, one record at a time, spread evenly over the second.
import argparse
import asyncio
import multiprocessing
import re
import statistics
import subprocess
import sys
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path

import redis
from msgspec import Struct

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

from pyfilter.fleet.link import open_client
from pyfilter.fleet.member import _REST, HEARTBEAT
from pyfilter.fleet.presence import _SERVERS_A_BEAT
from pyfilter.fleet.record import Record
from pyfilter.fleet.scripts import HERE
from pyfilter.fleet.store import Store

KEY = b"k" * 32
PREFIX = "bench:"
PROCESSES = 2
NUMBER = re.compile(rb'"number":(\d+)')
GRACE = 2.0  # seconds in which the last bans arrive


class Run(Struct, frozen=True):
    """What was measured with so many servers."""

    servers: int
    converged: list[float]  # seconds from the publication until the last server had it
    lost: int
    cpu: float  # share of one core that Redis took
    memory: int  # bytes
    sent: float  # bytes a second that Redis sent


def main() -> None:
    parser = argparse.ArgumentParser(description="Convergence of a fleet around one Redis.")
    parser.add_argument("--servers", type=int, nargs="+", default=[50, 100, 200])
    parser.add_argument("--bans", type=int, default=100, help="a second, in the whole fleet")
    parser.add_argument("--seconds", type=float, default=10.0)
    options = parser.parse_args()
    print(f"{options.bans} bans/s for {options.seconds:g} s")
    print("servers  median ms  p99 ms  worst ms  lost  Redis CPU %  memory MB  sent MB/s")
    for servers in options.servers:
        report(measured(servers, options.bans, options.seconds))


def report(run: Run) -> None:
    times = sorted(1000 * one for one in run.converged)
    median, p99 = statistics.median(times), times[int(0.99 * (len(times) - 1))]
    print(
        f"{run.servers:7}  {median:9.1f}  {p99:6.1f}  {times[-1]:8.1f}  {run.lost:4}  "
        f"{100 * run.cpu:11.1f}  {run.memory / 1e6:9.1f}  {run.sent / 1e6:9.2f}"
    )


def measured(servers: int, bans: int, seconds: float) -> Run:
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "r.sock"
        command = ["redis-server", "--port", "0", "--unixsocket", str(place), "--save", ""]
        with subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL) as process:
            while not place.exists():
                time.sleep(0.01)
            try:
                return asyncio.run(_measured(servers, bans, seconds, place))
            finally:
                process.terminate()


async def _measured(servers: int, bans: int, seconds: float, place: Path) -> Run:
    pipes, children = [], []
    for part in range(PROCESSES):
        ours, theirs = multiprocessing.Pipe()
        names = [f"web{number:05}" for number in range(part, servers, PROCESSES)]
        child = multiprocessing.Process(target=_live, args=(str(place), names, servers, theirs))
        child.start()
        pipes.append(ours)
        children.append(child)
    for pipe in pipes:
        await asyncio.to_thread(pipe.recv)  # all its servers are connected
    client = redis.Redis(unix_socket_path=str(place))
    cpu, sent, began = _cpu(client), _sent(client), time.monotonic()
    published = await _publish(place, servers, bans, seconds)
    took = time.monotonic() - began
    used = (_cpu(client) - cpu) / took
    sent_a_second, memory = (_sent(client) - sent) / took, int(_info(client, "used_memory_rss"))
    await asyncio.sleep(GRACE)
    arrivals: dict[int, tuple[int, float]] = {}
    for pipe, child in zip(pipes, children, strict=True):
        pipe.send("enough")
        for number, (count, last) in (await asyncio.to_thread(pipe.recv)).items():
            before, latest = arrivals.get(number, (0, 0.0))
            arrivals[number] = (before + count, max(latest, last))
        child.join()
    whole = {n: last - published[n] for n, (count, last) in arrivals.items() if count == servers}
    return Run(servers, [*whole.values()], len(published) - len(whole), used, memory, sent_a_second)


def _info(client: "redis.Redis", name: str) -> float:
    return float(dict(client.info())[name])


def _cpu(client: "redis.Redis") -> float:
    return _info(client, "used_cpu_user") + _info(client, "used_cpu_sys")


def _sent(client: "redis.Redis") -> float:
    return _info(client, "total_net_output_bytes")


async def _publish(place: Path, servers: int, bans: int, seconds: float) -> dict[int, float]:
    """Publish bans evenly; return when each was handed to Redis."""
    url = f"unix://{place}"
    store = Store(open_client(url), open_client(url, patient=True), PREFIX, KEY)
    published: dict[int, float] = {}
    began, total = time.monotonic(), int(bans * seconds)
    for number in range(1, total + 1):
        await asyncio.sleep(began + number / bans - time.monotonic())
        subject = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
        now, reason = time.time(), "5 sshd failures in 42s, last user root"
        name = f"web{number % servers:05}"
        record = Record("ban", name, number, subject, now, now + 3600, reason, "sshd")
        published[number] = time.monotonic()
        await store.put([record], now)
    await store.close()
    return published


def _live(place: str, names: list[str], servers: int, pipe: Connection) -> None:
    asyncio.run(_servers(place, names, servers, pipe))


async def _servers(place: str, names: list[str], servers: int, pipe: Connection) -> None:
    seen: dict[int, tuple[int, float]] = {}
    tasks = [asyncio.create_task(_follow(place, seen)) for _ in names]
    tasks += [asyncio.create_task(_beat(place, name, servers)) for name in names]
    await asyncio.sleep(1.0)
    pipe.send("ready")
    await asyncio.to_thread(pipe.recv)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    pipe.send(seen)


async def _follow(place: str, seen: dict[int, tuple[int, float]]) -> None:
    """Read the stream as a member does: at once, then no sooner than its rest allows."""
    reader, writer = await asyncio.open_unix_connection(place, limit=1 << 24)
    stream, after = f"{PREFIX}{{fleet}}:stream", b"0-0"
    while True:
        began = time.monotonic()
        writer.write(_command("XREAD", "COUNT", 1000, "BLOCK", 0, "STREAMS", stream, after))
        await reader.readuntil(b"\r\n")  # one stream:
        for _ in range(3):  # its pair, its name
            await reader.readuntil(b"\r\n")
        entries = int((await reader.readuntil(b"\r\n"))[1:])
        for _ in range(entries):
            *_, after = [(await reader.readuntil(b"\r\n"))[:-2] for _ in range(3)]
            *_, sealed = [await reader.readuntil(b"\r\n") for _ in range(5)]
            if found := NUMBER.search(sealed):
                number = int(found[1])
                count, _ = seen.get(number, (0, 0.0))
                seen[number] = (count + 1, time.monotonic())
        await asyncio.sleep(began + _REST - time.monotonic())


async def _beat(place: str, name: str, servers: int) -> None:
    reader, writer = await asyncio.open_unix_connection(place)
    keys = [f"{PREFIX}{{fleet}}:servers", f"{PREFIX}{{fleet}}:epoch"]
    beats, every = sum(name.encode()), 1 + servers // _SERVERS_A_BEAT
    await asyncio.sleep(HEARTBEAT * (beats % 100) / 100)
    while True:
        beats += 1
        wanted = "1" if beats % every == 0 else "0"
        said = (name, f"{time.time():.3f} 7", "0123456789abcdef", wanted)
        writer.write(_command("EVAL", HERE, 2, *keys, *said))
        for _ in range(2 * int((await reader.readuntil(b"\r\n"))[1:])):
            await reader.readuntil(b"\r\n")
        await asyncio.sleep(HEARTBEAT)


def _command(*parts: object) -> bytes:
    """Return a command in the protocol of Redis (RESP2)."""
    texts = [part if isinstance(part, bytes) else str(part).encode() for part in parts]
    counted = [b"$%d\r\n%s\r\n" % (len(text), text) for text in texts]
    return b"*%d\r\n" % len(texts) + b"".join(counted)


if __name__ == "__main__":
    main()
