# What counting costs: microseconds an event and bytes an address, detection alone.
#
#     PYTHONPATH=src python bench/counting.py
import argparse
import gc
import resource
import time
from collections.abc import Iterator

from pyfilter import detection
from pyfilter.addresses import Address, address
from pyfilter.model import Event, Limits

BATCH = 2500
LINES = (True, False, True)  # an attempt as sshd writes it: echo, failure, echo


def host(number: int) -> Address:
    """Return one of 2^24 addresses, neighbours far apart."""
    mixed = number * 2654435761 & 0xFFFFFF
    return address(f"{10 + (mixed >> 20)}.{mixed >> 12 & 255}.{mixed >> 4 & 255}.{mixed & 15}")


def attempts(first: int, addresses: int) -> list[Event]:
    """Return a batch of attempts, three lines each, as the matcher would make it of a block."""
    return [
        Event(
            "sshd",
            host((first + number) // len(LINES) % addresses),
            1.7e9 + first * 1e-5,
            user="root",
            line=b"x" * 100,
            pid=str((first + number) // len(LINES)),
            port=str(30_000 + (first + number) // len(LINES) % 30_000),
            echo=LINES[(first + number) % len(LINES)],
        )
        for number in range(BATCH)
    ]


def batches(events: int, addresses: int) -> Iterator[list[Event]]:
    return (attempts(first, addresses) for first in range(0, events, BATCH))


def measure(events: int, addresses: int) -> None:
    gc.collect()
    detector, spent, offences = detection.open(Limits()), 0.0, 0
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for batch in batches(events, addresses):
        begun = time.thread_time()
        offences += len(detector.observe(batch))
        spent += time.thread_time() - begun
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    print(
        f"{events:>10,} events {addresses:>10,} addresses {spent / events * 1e6:6.2f} us/event"
        f" {offences:>8,} offences"
        + (f" {grown / len(detector):6.0f} bytes/address" if grown and len(detector) else "")
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="Events counted, by number of addresses.")
    parser.add_argument("--events", type=int, default=1_000_000)
    events = parser.parse_args().events
    for addresses in (1_000_000, 20_000, 200):
        measure(events, addresses)


if __name__ == "__main__":
    main()
