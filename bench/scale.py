# What do very many bans cost? A restore at start, one ban among many, many decided at once.
#
#   sudo python bench/scale.py [--bans 100000] [--runs 3]
#
# Each part runs in a process and network namespace of its own: the kernel's sets begin empty.
import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from pyfilter.addresses import Network
from pyfilter.enforcer import Enforcer, Reconciler
from pyfilter.firewalls import Nftables
from pyfilter.ledger import Sqlite
from pyfilter.model import Ban
from pyfilter.protection import Protection

MANY_AT_ONCE = 10_000
ONES = 200  # single bans; their median counts
TABLE = """add table inet alone
add set inet alone four {{ type ipv4_addr; flags timeout; size 1000000; counter; }}
add element inet alone four {{ {elements} }}
"""


def bans(count: int, first: int = 0, place: Callable[[int], str] | None = None) -> list[Ban]:
    """Return bans of distinct subjects for an hour, of IPv4 hosts where nothing else is said."""
    now, named = time.time(), place or host
    return [
        Ban(Network(named(n)), now, now + 3600.0, "5 sshd failures in 42s", "sshd", origin="bench")
        for n in range(first, first + count)
    ]


def host(number: int) -> str:
    return f"{11 + (number >> 16)}.{number >> 8 & 255}.{number & 255}.1"


def site(number: int) -> str:
    return f"2001:db8:{(number >> 15) + 1:x}:{(number & 32767) + 1:x}::/64"


def enforcer(folder: str) -> Enforcer:
    ledger = Sqlite(f"{folder}/pyfilter.db").open()
    return Enforcer(ledger, Nftables().open(), Protection(), time.time)


def start(folder: str) -> Enforcer:
    """Take up the ledger's bans and bring the kernel in line, as the daemon does."""
    opened = enforcer(folder)
    opened.recall()
    Reconciler(opened).start()
    return opened


def nft_alone(folder: str, count: int) -> float:
    """Return the seconds of `nft -f` with the same elements."""
    script = Path(folder) / "elements.nft"
    elements = ", ".join(f"{host(n)} timeout 3600s" for n in range(count))
    script.write_text(TABLE.format(elements=elements))
    return timed(lambda: subprocess.run(["nft", "-f", script], check=True))


def restore(folder: str, count: int) -> float:
    """Return the seconds from opening a ledger of so many bans to the kernel holding them."""
    Sqlite(f"{folder}/pyfilter.db").open().record(bans(count))
    took = timed(lambda: start(folder))
    print(f"peak {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024}", file=sys.stderr)
    return took


def restore_sites(folder: str, count: int) -> float:
    """Return the same of IPv6 networks, as IPv6 is banned."""
    Sqlite(f"{folder}/pyfilter.db").open().record(bans(count, place=site))
    return timed(lambda: start(folder))


def again(folder: str, count: int) -> float:
    """Return the seconds of a start that finds all its bans in the kernel."""
    Sqlite(f"{folder}/pyfilter.db").open().record(bans(count))
    start(folder).firewall.close()
    return timed(lambda: start(folder))


def one_among(folder: str, count: int) -> float:
    """Return the median seconds of one ban, recorded and in the kernel, with many in force."""
    Sqlite(f"{folder}/pyfilter.db").open().record(bans(count))
    opened = start(folder)
    return statistics.median(timed(partial(opened.apply, [ban])) for ban in bans(ONES, 1 << 20))


def at_once(folder: str, _count: int) -> float:
    """Return the seconds of ten thousand bans decided together, until the kernel has them all."""
    opened, decided = start(folder), bans(MANY_AT_ONCE)
    took = timed(lambda: opened.apply(decided))
    if len(opened.firewall.blocked()) != MANY_AT_ONCE:
        raise SystemExit("the kernel does not hold all the bans")
    return took


def timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


PARTS = {
    "nft -f alone": nft_alone,
    "restore at start": restore,
    "restore, IPv6 networks": restore_sites,
    "start, all in force": again,
    "one ban among them": one_among,
    "10,000 bans at once": at_once,
}


def isolated(part: str, count: int) -> tuple[float, str]:
    """Return (seconds, what else it said) of a part run in its own network namespace."""
    command = ["unshare", "--net", sys.executable, __file__, "--bans", str(count), "--part", part]
    done = subprocess.run(command, env={**os.environ}, capture_output=True, text=True, check=True)
    return float(done.stdout), done.stderr.strip()


def main() -> None:
    parser = argparse.ArgumentParser(description="The cost of very many bans.")
    parser.add_argument("--bans", type=int, default=100_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--part", choices=tuple(PARTS), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.part:
        with tempfile.TemporaryDirectory() as folder:
            print(PARTS[options.part](folder, options.bans))
        return
    print(f"{options.bans:,} bans, medians of {options.runs} runs")
    medians: dict[str, float] = {}
    for part in PARTS:
        results = [isolated(part, options.bans) for _ in range(options.runs)]
        medians[part] = statistics.median(seconds for seconds, _ in results)
        said = max(said for _, said in results)
        print(f"{part:24}{medians[part] * 1000:12.2f} ms  {said and said + ' MB'}")
    print(f"restore / nft alone {medians['restore at start'] / medians['nft -f alone']:.2f}")


if __name__ == "__main__":
    main()
