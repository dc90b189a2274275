# How long from the write of the fifth failure to the address in the kernel's set?
#
#   sudo python bench/latency.py [--bans 200]
#
# Runs the daemon in a network namespace of its own, appends sshd lines to a log as a logger does,
# and listens on netlink until the kernel says that the address is in its set.
import argparse
import os
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from io import FileIO
from pathlib import Path

NETLINK_NETFILTER = 12
NFNLGRP_NFTABLES = 7
CONFIG = """
state_dir = "{folder}/state"
runtime_dir = "{folder}/run"
[defaults]
bantime = "1h"
[rules.sshd]
logpath = "{folder}/auth.log"
"""


def main() -> None:
    parser = argparse.ArgumentParser(description="Ban latency, write to kernel.")
    parser.add_argument("--bans", type=int, default=200)
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if not options.inside:
        command = ["unshare", "--net", sys.executable, __file__, "--inside"]
        sys.exit(subprocess.call([*command, "--bans", str(options.bans)]))
    with tempfile.TemporaryDirectory() as folder:
        report(measured(Path(folder), options.bans))


def measured(folder: Path, bans: int) -> list[float]:
    """Return the latency of each ban in milliseconds."""
    log = folder / "auth.log"
    log.touch()
    daemon = started(folder)
    try:
        with log.open("ab", buffering=0) as out, listening() as kernel:
            return [one(out, kernel, number) for number in range(bans)]
    finally:
        daemon.terminate()
        daemon.wait(10)


def listening() -> socket.socket:
    """Return a socket on which the kernel tells of every change of its sets."""
    kernel = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER)
    kernel.bind((0, 1 << (NFNLGRP_NFTABLES - 1)))
    kernel.settimeout(10)
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


def one(log: FileIO, kernel: socket.socket, number: int) -> float:
    """Let one address fail five times; return the milliseconds from the fifth to its ban."""
    address = f"198.18.{number // 250}.{number % 250 + 1}"
    key = socket.inet_aton(address)
    for failure in range(4):
        log.write(line(address, failure))
    time.sleep(random.uniform(0.002, 0.02))  # the four are read, and the phase is random
    began = time.perf_counter()
    log.write(line(address, 4))
    while key not in kernel.recv(65536):
        continue
    return (time.perf_counter() - began) * 1000


def line(address: str, failure: int) -> bytes:
    stamp = time.strftime("%b %e %H:%M:%S")
    said = f"Failed password for root from {address} port {40000 + failure} ssh2"
    return f"{stamp} web01 sshd[{1000 + failure}]: {said}\n".encode()


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
