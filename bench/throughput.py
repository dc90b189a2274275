# How many lines a CPU second does the daemon's whole pipeline take?
#
#   python bench/throughput.py [--lines 300000] [--runs 5] [--peers] [--peer-lines 20000]
#   python bench/throughput.py --hardened
#   py-spy record -f raw -o profile.txt -- python bench/throughput.py --once attack --lines 3000000
#
# Reads each log as the daemon does, scans, extracts, counts, decides and takes the bans in the
# observe backend with a ledger in SQLite. Beside it, in the same run: reading the file alone,
# Hyperscan alone, and with --peers fail2ban, SSHGuard and CrowdSec where they are installed, over
# a shorter log of the same kind. With --hardened nothing may compile to machine code, as in the
# service of the package.
import argparse
import ctypes
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import hyperscan

import logs
import peers
from pyfilter import detection
from pyfilter.enforcer import Enforcer
from pyfilter.firewalls import Observe
from pyfilter.ledger import Sqlite
from pyfilter.matching import library
from pyfilter.matching.matcher import Matcher
from pyfilter.model import Block, Limits
from pyfilter.pipeline import Pipeline, Watch
from pyfilter.protection import Protection

BLOCK = 1 << 20
PR_SET_MDWE = 65  # no memory may become executable, as MemoryDenyWriteExecute= has it
NOW = 1_795_100_000.0
LOGS = {  # the kind of each and its addresses
    "benign": ("benign", 20_000),
    "mixed": ("mixed", 20_000),
    "attack": ("attack", 20_000),
    "million": ("attack", 1_000_000),
}


def read(path: Path) -> int:
    """Read a file in blocks and do nothing with them."""
    with path.open("rb") as log:
        while log.read(BLOCK):
            continue
    return 0


def hyperscan_alone(path: Path) -> int:
    """Scan for the literals that any failure of sshd holds, one report a block and literal."""
    literals = (b"Failed ", b"Invalid user ", b"Connection ", b"Disconnect", b"maximum auth")
    database = hyperscan.Database()
    database.compile(
        expressions=list(literals),
        ids=list(range(len(literals))),
        elements=len(literals),
        flags=[hyperscan.HS_FLAG_SINGLEMATCH] * len(literals),
    )
    with path.open("rb") as log:
        while data := log.read(BLOCK):
            database.scan(data, match_event_handler=lambda *_: None)
    return 0


def pyfilter(path: Path, names: tuple[str, ...] = ("sshd",)) -> float:
    """Return the CPU seconds of the daemon's pipeline, made ready, over a log."""
    limits = Limits()
    rules = [library.load(name) for name in names]
    room = detection.Room()
    with tempfile.TemporaryDirectory() as folder:
        ledger = Sqlite(f"{folder}/pyfilter.db").open()
        enforcer = Enforcer(ledger, Observe().open(), Protection(), lambda: NOW)
        pipeline = Pipeline("bench", enforcer.standing, ledger.histories)
        pipeline.matchers = {"log": Matcher([(rule, rule.kinds) for rule in rules])}
        pipeline.watches = {r.name: Watch(limits, detection.open(limits, room)) for r in rules}
        pipeline.process(Block("log", b"warm\n", NOW))
        took = cpu(lambda: through(pipeline, enforcer, path))
        ledger.close()
    return took


def through(pipeline: Pipeline, enforcer: Enforcer, path: Path) -> None:
    """Carry a log through the pipeline, and its bans to the enforcer."""
    with path.open("rb") as log:
        rest = b""
        while part := log.read(BLOCK):
            head, _, tail = part.rpartition(b"\n")
            if bans := pipeline.process(Block("log", rest + head + b"\n", NOW)):
                enforcer.apply(bans)
            rest = tail


def cpu(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def several(kind: str) -> dict[str, tuple[str, ...]]:
    """Return choices of rules for one file: the first of any format by name, with sshd among them.

    In a flood those that read what syslog writes: one file holds the lines of many such services.
    """
    names = [name for name in library.names() if name != "sshd"]
    if kind != "benign":
        syslog = [name for name in names if library.load(name).format == "syslog"]
        return {
            f"PyFilter, {len(syslog) + 1} of syslog": ("sshd", *syslog),
            f"PyFilter, {len(names) + 1} rules": ("sshd", *names),
        }
    return {f"PyFilter, {count} rules": ("sshd", *names[: count - 1]) for count in (5, 20, 60)}


def measure(path: Path, options: argparse.Namespace) -> None:
    count = path.read_bytes().count(b"\n")
    works: dict[str, Callable[[], float]] = {
        "read alone": lambda: cpu(lambda: read(path)),
        "Hyperscan alone": lambda: cpu(lambda: hyperscan_alone(path)),
        "PyFilter, sshd": lambda: pyfilter(path),
        **{name: partial(pyfilter, path, rules) for name, rules in several(path.stem).items()},
    }
    took: dict[str, list[float]] = {name: [] for name in works}
    for run in range(options.runs + 1):
        for name, work in works.items():
            seconds = work()
            if run or options.runs == 1:
                took[name].append(seconds)
    ours = statistics.median(took["PyFilter, sshd"])
    print(f"\n{path.stem}: {count:,} lines")
    print(f"{'':24}{'lines / CPU s':>15}{'us / line':>11}{'to ours':>9}")
    for name, times in took.items():
        seconds = statistics.median(times)
        speed, cost = count / max(seconds, 1e-9), seconds / count * 1e6
        print(f"{name:24}{speed:>15,.0f}{cost:>11.3f}{seconds / ours:>9.2f}", flush=True)
    few, many = took.get("PyFilter, 5 rules"), took.get("PyFilter, 60 rules")
    if few and many:
        print(f"60 rules to 5: {statistics.median(many) / statistics.median(few):.2f}")
    if options.peers:
        peers.report(path.stem, options.peer_lines, ours / count)


def main() -> None:
    parser = argparse.ArgumentParser(description="Throughput of the whole pipeline.")
    parser.add_argument("--lines", type=int, default=300_000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--peers", action="store_true")
    parser.add_argument("--peer-lines", type=int, default=20_000, help="the peers are slow")
    parser.add_argument("--once", choices=LOGS, help="the pipeline alone, for a profiler")
    parser.add_argument("--hardened", action="store_true", help="as under MemoryDenyWriteExecute")
    options = parser.parse_args()
    if options.hardened and ctypes.CDLL(None).prctl(PR_SET_MDWE, 1, 0, 0, 0):
        raise SystemExit("this kernel knows no PR_SET_MDWE: it is of Linux 6.3")
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        for name in [options.once] if options.once else list(LOGS):
            kind, addresses = LOGS[name]
            path = logs.write(folder / f"{name}.log", kind, options.lines, addresses)
            if options.once:
                print(f"{pyfilter(path) / options.lines * 1e6:.3f} us / line")
            else:
                measure(path, options)


if __name__ == "__main__":
    main()
