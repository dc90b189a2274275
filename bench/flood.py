# Writes a log as a flooded service does: so many lines a second, whoever reads them.
#
#   python bench/flood.py LOG [--rate 100000] [--seconds 10] [--addresses 0] [--bans 0] [--rotate 64]
#
# A process of its own, so that what it measures does not slow it down. Each address fails twice; with
# --bans so many more a second fail six times. At its end, or at SIGTERM, it says what rate it kept.
import argparse
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

TICK = 0.004  # seconds between two writes
FAILURES, TOO_MANY = 2, 6
APART = 500  # addresses whose failures are mixed
FIRST, LAST = 11 << 24, 126 << 24  # where addresses are from
SAID = "sshd[%d]: Failed password for root from %s port %d ssh2\n"


def peer(number: int) -> str:
    """Return the address of that number; one in ten is of IPv6, each at a site of its own."""
    if number % 10 == 9:
        return f"{0x2A00 + (number >> 32):x}:{number >> 16 & 0xFFFF:x}:{number & 0xFFFF:x}::1"
    at = FIRST + number % (LAST - FIRST)
    return f"{at >> 24}.{at >> 16 & 255}.{at >> 8 & 255}.{at & 255}"


def line(number: int, addresses: int, every: int) -> tuple[int, str, int]:
    """Return pid, address and port of a line; each `every`-th is of one who fails too often."""
    connection = 1000 + number % 30_000, 1024 + number % 60_000
    if every and number % every == 0:
        who = 1_000_000_000 + number // every // TOO_MANY
    else:
        round_, at = divmod(number, APART * FAILURES)
        who = round_ * APART + at % APART
        who = who % addresses if addresses else who
    return connection[0], peer(who), connection[1]


class Log:
    """A log that is renamed and begun anew whenever it has so many bytes."""

    def __init__(self, path: Path, most: int) -> None:
        self._path, self._most = path, most
        self._open()

    def _open(self) -> None:
        self._fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        self._size = os.fstat(self._fd).st_size

    def write(self, data: bytes) -> None:
        if self._size > self._most:
            os.close(self._fd)
            self._path.rename(f"{self._path}.1")
            self._open()
        self._size += os.write(self._fd, data)


def dues(rate: float, seconds: float, stopped: list[int]) -> Iterator[tuple[int, int]]:
    """Yield the numbers of the first line due and behind the last, at each tick."""
    began, written = time.monotonic(), 0
    while not stopped and time.monotonic() - began < seconds:
        due = min(int((time.monotonic() - began) * rate), written + int(rate / 10) + 1)
        if due > written:
            yield written, due
            written = due
        time.sleep(TICK)


def flood(log: Log, options: argparse.Namespace) -> str:
    """Write until the time is over or the process is told to stop; return what was kept."""
    stopped: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: stopped.append(number))
    every = int(options.rate / (options.bans * TOO_MANY)) if options.bans else 0
    began, until = time.monotonic(), 0
    for first, until in dues(options.rate, options.seconds, stopped):
        head = time.strftime("%b %e %H:%M:%S web01 ")
        said = (SAID % line(number, options.addresses, every) for number in range(first, until))
        log.write((head + head.join(said)).encode())
    took = time.monotonic() - began
    cpu = time.process_time() / took
    return f"{until} lines in {took:.1f} s: {until / took:,.0f} a second, {cpu:.0%} of a core"


def main() -> None:
    parser = argparse.ArgumentParser(description="A flood of failures at a steady rate.")
    parser.add_argument("log", type=Path)
    parser.add_argument("--rate", type=float, default=100_000, help="lines a second")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--addresses", type=int, default=0, help="0: ever new ones")
    parser.add_argument("--bans", type=float, default=0, help="hosts a second that fail too often")
    parser.add_argument("--rotate", type=int, default=64, help="megabytes")
    options = parser.parse_args()
    print(flood(Log(options.log, options.rotate << 20), options), flush=True)


if __name__ == "__main__":
    main()
