# Does `pyfilter replay` read an old log as quickly as the daemon's pipeline, with flat memory?
#
#   python bench/replay.py [--lines 1000000 10000000]
#
# Runs the command itself, with a terminal for its progress bar, over attack logs of 20,000 addresses.
import argparse
import os
import pty
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import logs
import throughput


def main() -> None:
    parser = argparse.ArgumentParser(description="Replay of long logs.")
    parser.add_argument("--lines", type=int, nargs="+", default=[1_000_000, 10_000_000])
    counts = parser.parse_args().lines
    print(f"{'lines':>12}{'lines / CPU s':>16}{'peak MB':>9}{'pipeline, lines / CPU s':>26}")
    with tempfile.TemporaryDirectory() as folder:
        for count in counts:
            log = logs.write(Path(folder) / "attack.log", "attack", count)
            seconds, peak = replayed(log)
            pipeline = count / throughput.pyfilter(log)
            print(
                f"{count:>12,}{count / seconds:>16,.0f}{peak:>9.0f}{pipeline:>26,.0f}", flush=True
            )


def replayed(log: Path) -> tuple[float, float]:
    """Return the CPU seconds and the peak memory in MB of a replay."""
    command = [sys.executable, "-m", "pyfilter", "replay", "--rule", "sshd", str(log)]
    ours, theirs = pty.openpty()
    threading.Thread(target=watched, args=(ours,), daemon=True).start()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=theirs)
    _, status, used = os.wait4(process.pid, 0)
    os.close(theirs)
    if status:
        raise SystemExit("replay failed")
    return used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def watched(terminal: int) -> None:
    """Read what the progress bar says."""
    try:
        while os.read(terminal, 65_536):
            continue
    except OSError:  # EIO: nobody writes any more
        os.close(terminal)


if __name__ == "__main__":
    main()
