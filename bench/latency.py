# How long from the write of the fifth failure to the address in the kernel's set?
#
#   sudo python bench/latency.py [--bans 200]
#   sudo python bench/latency.py --flood 100000 [--flood-bans 1000] [--same]
#
# Runs the daemon in a network namespace of its own, appends sshd lines to a log as a logger does,
# and listens on netlink until the kernel says that the address is in its set. With --flood another
# log gets so many lines a second meanwhile, from ever new hosts, of which so many a second are
# banned too: that of another rule, or with --same a second log of the same rule.
import argparse
import os
import random
import select
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path

from pyfilter.control.answers import StatusAnswer
from pyfilter.control.client import Client
from pyfilter.control.requests import AskStatus

NETLINK_NETFILTER = 12
NFNLGRP_NFTABLES = 7
CONFIG = """
state_dir = "{folder}/state"
runtime_dir = "{folder}/run"
[defaults]
bantime = "1h"
[rules.sshd]
logpath = ["{folder}/auth.log", "{folder}/same.log"]
[rules.dropbear]
logpath = "{folder}/dropbear.log"
"""
SSHD = "sshd[{number}]: Failed password for root from {peer} port {number} ssh2"
DROPBEAR = "dropbear[{number}]: Bad password attempt for 'root' from {peer}:{number}"
SETTLED = 3.0  # seconds of flood before the first ban is measured
WINDOW = 1 << 28  # bytes of notices that the kernel may keep for us
SO_RCVBUFFORCE = 33


def main() -> None:
    parser = argparse.ArgumentParser(description="Ban latency, write to kernel.")
    parser.add_argument("--bans", type=int, default=200)
    parser.add_argument("--flood", type=int, default=0, help="lines a second of another log")
    parser.add_argument("--flood-bans", type=int, default=1000, help="bans a second of the flood")
    parser.add_argument("--same", action="store_true", help="flood and measure one rule")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if not options.inside:
        command = ["unshare", "--net", sys.executable, __file__, "--inside"]
        sys.exit(subprocess.call([*command, *sys.argv[1:]]))
    with tempfile.TemporaryDirectory() as folder:
        report(measured(Path(folder), options))


def measured(folder: Path, options: argparse.Namespace) -> list[float]:
    """Return the latency of each ban in milliseconds."""
    flooded = folder / "auth.log"
    name, said = ("dropbear", DROPBEAR) if options.flood and not options.same else ("same", SSHD)
    log = folder / f"{name}.log"
    for path in (flooded, log):
        path.touch()
    daemon = started(folder)
    try:
        with flood(flooded, options), log.open("ab", buffering=0) as out, listening() as kernel:
            return [one(out, kernel, said, number) for number in range(options.bans)]
    finally:
        daemon.terminate()
        daemon.wait(60)


@contextmanager
def flood(log: Path, options: argparse.Namespace) -> Iterator[None]:
    """Flood a log meanwhile, if that is wanted; print the rate that was kept and what was read."""
    if not options.flood:
        yield
        return
    command = [sys.executable, str(Path(__file__).with_name("flood.py")), str(log)]
    command += ["--rate", str(options.flood), "--bans", str(options.flood_bans)]
    writer = subprocess.Popen([*command, "--seconds", "600"], stdout=subprocess.PIPE)
    time.sleep(SETTLED)
    try:
        yield
        with Client(log.parent / "run" / "control.sock") as client:
            status = client.ask(AskStatus(), StatusAnswer)
        read = max(status.sources, key=lambda source: source.lines)
        print(f"flood read: {read.lines:,} lines, {status.bans:,} bans, {read.lag:,} bytes waiting")
    finally:
        writer.terminate()
        print(f"flood written: {writer.communicate()[0].decode().strip()}")


def listening() -> socket.socket:
    """Return a socket on which the kernel tells of every change of its sets."""
    kernel = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER)
    kernel.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, WINDOW)
    kernel.bind((0, 1 << (NFNLGRP_NFTABLES - 1)))
    kernel.settimeout(30)
    return kernel


def started(folder: Path) -> "subprocess.Popen[bytes]":
    """Start the daemon and return once it says that it is ready."""
    config = folder / "pyfilter.toml"
    config.write_text(CONFIG.format(folder=folder))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ready:
        ready.bind(str(folder / "notify"))
        ready.settimeout(20)
        daemon = subprocess.Popen(
            [sys.executable, "-m", "pyfilter", "-c", str(config), "run"],
            env={**os.environ, "NOTIFY_SOCKET": str(folder / "notify")},
            stderr=subprocess.DEVNULL,
        )
        ready.recv(1000)
    return daemon


def one(log: FileIO, kernel: socket.socket, said: str, number: int) -> float:
    """Let one address fail five times; return the milliseconds from the fifth to its ban."""
    address = f"198.18.{number // 250}.{number % 250 + 1}"
    key = socket.inet_aton(address)
    for failure in range(4):
        log.write(line(said, address, failure))
    pause(kernel, random.uniform(0.002, 0.02))  # the four are read, and the phase is random
    began = time.perf_counter()
    log.write(line(said, address, 4))
    while key not in kernel.recv(65536):
        continue
    return (time.perf_counter() - began) * 1000


def pause(kernel: socket.socket, seconds: float) -> None:
    """Pause, and take meanwhile what the kernel tells of others."""
    until = time.perf_counter() + seconds
    while (left := until - time.perf_counter()) > 0:
        if select.select([kernel], [], [], left)[0]:
            kernel.recv(65536)


def line(said: str, peer: str, failure: int) -> bytes:
    stamp = time.strftime("%b %e %H:%M:%S")
    return f"{stamp} web01 {said.format(peer=peer, number=40_000 + failure)}\n".encode()


def report(latencies: list[float]) -> None:
    """Print the distribution in milliseconds."""
    ranked = sorted(latencies)
    at = {
        "median": statistics.median(ranked),
        "p99": ranked[min(len(ranked) - 1, int(len(ranked) * 0.99))],
        "maximum": ranked[-1],
    }
    print(f"{len(ranked)} bans, milliseconds from the write of the fifth line to the kernel's set")
    for name, value in at.items():
        print(f"{name:>8} {value:8.2f}")


if __name__ == "__main__":
    main()
