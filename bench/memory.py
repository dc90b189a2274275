# How much memory, and how soon ready?
#
#   sudo python bench/memory.py [--millions 2] [--runs 5]
#   sudo python bench/memory.py --flood 60 [--rate 20000] [--bans 10]
#
# Runs the daemon with every rule in a network namespace of its own and the observe firewall:
# start to ready, resident memory when idle, while a million addresses are counted and fail again.
# With --flood: memory at each of so many minutes of a flood from ever new addresses, of which so
# many a second are banned, for ten minutes each.
import argparse
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import logs
from pyfilter.control.answers import StatusAnswer
from pyfilter.control.client import Client
from pyfilter.control.requests import AskStatus
from pyfilter.errors import NotRunningError
from pyfilter.matching import library

CONFIG = """
state_dir = "{folder}/state"
runtime_dir = "{folder}/run"
[firewall]
type = "observe"
[defaults]
bantime = "10m"
bantime_increment = false
"""
RULE = """[rules.{name}]
logpath = "{folder}/{log}"
"""
ADDRESSES = 1_000_000
PORTION = 50_000  # lines written at a time


def main() -> None:
    parser = argparse.ArgumentParser(description="Memory and start of the daemon.")
    parser.add_argument("--millions", type=int, default=2, help="lines after the first million")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--flood", type=int, default=0, help="minutes")
    parser.add_argument("--rate", type=float, default=20_000, help="lines a second of the flood")
    parser.add_argument("--bans", type=float, default=10, help="a second of the flood")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if not options.inside:
        command = ["unshare", "--net", sys.executable, __file__, "--inside"]
        sys.exit(subprocess.call([*command, *sys.argv[1:]]))
    if options.flood:
        with tempfile.TemporaryDirectory() as folder:
            report_hour(Path(folder), options)
        return
    for rules in (("sshd",), tuple(library.names())):
        with tempfile.TemporaryDirectory() as folder:
            report_start(Path(folder), rules, options.runs)
    with tempfile.TemporaryDirectory() as folder:
        report_flood(Path(folder), options.millions)


def report_start(folder: Path, rules: tuple[str, ...], runs: int) -> None:
    """Print how long a start takes, first without the compiled scan plans, then with them."""
    seconds, idle = [], []
    for _ in range(runs + 1):
        daemon, took = started(folder, rules)
        seconds.append(took)
        idle.append(resident(daemon))
        stopped(daemon)
    print(f"{len(rules)} rules: first start {seconds[0]:.2f} s, ", end="")
    print(f"then {statistics.median(seconds[1:]):.2f} s, idle {statistics.median(idle):.0f} MB")


def report_flood(folder: Path, millions: int) -> None:
    """Print the daemon's memory as a million addresses fail, and as the flood goes on."""
    daemon, _ = started(folder, ("sshd",))
    print(f"{'lines':>12}{'MB':>8}   one failure of each of {ADDRESSES:,} addresses, then again")
    try:
        with (folder / "auth.log").open("ab", buffering=0) as log:
            for written in range(0, (1 + millions) * ADDRESSES, PORTION):
                log.write("".join(line(n) for n in range(written, written + PORTION)).encode())
                wait_until_read(daemon)
                if (written + PORTION) % (ADDRESSES // 4) == 0:
                    print(f"{written + PORTION:>12,}{resident(daemon):>8.0f}", flush=True)
    finally:
        stopped(daemon)


def report_hour(folder: Path, options: argparse.Namespace) -> None:
    """Print at each minute of a flood what the daemon read, holds and takes."""
    daemon, _ = started(folder, ("sshd",))
    writer = [sys.executable, str(Path(__file__).with_name("flood.py")), str(folder / "auth.log")]
    writer += ["--rate", str(options.rate), "--seconds", str(60 * options.flood)]
    flood = subprocess.Popen([*writer, "--bans", str(options.bans)], stdout=subprocess.PIPE)
    samples: list[float] = []
    print(f"{'minute':>8}{'lines read':>14}{'bans':>10}{'MB':>8}{'core':>8}")
    try:
        began, used = time.monotonic(), cpu_seconds(daemon)
        while len(samples) < options.flood:
            minute = len(samples) + 1
            time.sleep(max(0.0, began + 60 * minute - time.monotonic()))
            before, used = used, cpu_seconds(daemon)
            samples.append(resident(daemon))
            status = asked(folder)
            lines = sum(row.lines for row in status.sources)
            row = f"{minute:>8}{lines:>14,}{status.bans:>10,}{samples[-1]:>8.0f}"
            print(f"{row}{(used - before) / 60:>8.1%}", flush=True)
        print(f"written: {flood.communicate()[0].decode().strip()}")
    finally:
        flood.terminate()
        stopped(daemon)
    report_slope(samples)


def report_slope(samples: list[float]) -> None:
    """Print the slope of the second half, in which the room is full and bans end."""
    half = samples[len(samples) // 2 :]
    if len(half) > 1:
        slope = statistics.linear_regression(range(len(half)), half).slope
        print(f"slope of the last {len(half)} minutes: {slope * 60:+.1f} MB an hour")


def asked(folder: Path) -> StatusAnswer:
    """Return the daemon's own account of itself; on a busy machine it may be slow to answer."""
    deadline = time.monotonic() + 50
    while True:
        try:
            with Client(folder / "run" / "control.sock") as client:
                return client.ask(AskStatus(), StatusAnswer)
        except NotRunningError:
            if time.monotonic() > deadline:
                raise
            time.sleep(1)


def line(number: int) -> str:
    n = number % ADDRESSES
    peer = f"{11 + (n >> 16)}.{n >> 8 & 255}.{n & 255}.1"
    port = 1024 + number % 60_000
    said = f"Failed password for root from {peer} port {port} ssh2"
    return f"{logs.stamp(number, 'syslog')} web01 sshd[{number % 30_000 + 1000}]: {said}\n"


def wait_until_read(daemon: "subprocess.Popen[bytes]") -> None:
    """Wait until the daemon has read its log to the end, and has come to rest."""
    deadline, before = time.monotonic() + 120, -1.0
    while time.monotonic() < deadline:
        used = cpu_seconds(daemon)
        if used == before:
            break
        before = used
        time.sleep(0.05)


def cpu_seconds(daemon: "subprocess.Popen[bytes]") -> float:
    fields = Path(f"/proc/{daemon.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident(daemon: "subprocess.Popen[bytes]") -> float:
    """Return the resident memory of the daemon in MB."""
    status = Path(f"/proc/{daemon.pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


def started(folder: Path, rules: tuple[str, ...]) -> "tuple[subprocess.Popen[bytes], float]":
    """Start the daemon; return it and the seconds until it says that it is ready."""
    config, notify = folder / "pyfilter.toml", folder / "notify"
    text = CONFIG.format(folder=folder)
    for name in rules:
        log = "auth.log" if name == "sshd" else f"{name}.log"
        (folder / log).touch()
        text += RULE.format(name=name, folder=folder, log=log)
    config.write_text(text)
    notify.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ready:
        ready.bind(str(notify))
        ready.settimeout(60)
        began = time.perf_counter()
        daemon = subprocess.Popen(
            [sys.executable, "-m", "pyfilter", "-c", str(config), "run"],
            env={**os.environ, "NOTIFY_SOCKET": str(notify)},
            stderr=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        ready.recv(1000)
        return daemon, time.perf_counter() - began


def stopped(daemon: "subprocess.Popen[bytes]") -> None:
    daemon.terminate()
    daemon.wait(20)


if __name__ == "__main__":
    main()
