# Killed at its system calls and at any other moment: no ban is lost, none is there twice.
import re
import signal
import sqlite3
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from random import Random

import pytest

from guarded import Guarded, failure, guarded, subjects, until
from system.lab import need

pytestmark = pytest.mark.root
X = "203.0.113.9"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Guarded]:
    need("ip", "nsenter", "nft")
    with guarded(tmp_path) as made:
        made.start()
        yield made


def sound(server: Guarded) -> bool:
    with closing(sqlite3.connect(server.state / "pyfilter.db")) as database:
        return bool(database.execute("PRAGMA integrity_check").fetchone() == ("ok",))


def acknowledged(server: Guarded) -> set[str]:
    """Return what the daemon said on its standard error that it banned."""
    return set(re.findall(r"203\.0\.\d+\.\d+", server.told()))


@contextmanager
def doomed(server: Guarded, syscall: str, number: int) -> Iterator[None]:
    """Have the kernel kill the daemon at the n-th system call of a kind from now on."""
    assert server.daemon is not None
    inject = f"inject={syscall}:signal=KILL:when={number}"
    argv = ["strace", "-f", "-p", str(server.daemon.pid), "-e", f"trace={syscall}", "-e", inject]
    with (server.folder / "trace").open("w+") as trace:
        tracer = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=trace)
        path = Path(trace.name)
        until(lambda: "attached" in path.read_text(), "strace attaches")
        yield
        if server.daemon.poll() is None:
            server.end(signal.SIGKILL)
        tracer.wait(20)


def attack(server: Guarded, attackers: list[str]) -> None:
    for attacker in attackers:
        if server.daemon is None or server.daemon.poll() is not None:
            server.fail(attacker)
            continue
        server.fail(attacker)
        time.sleep(0.005)  # so that blocks and bans come one by one


def over(server: Guarded, victims: list[str]) -> bool:
    """Wait until the daemon is killed or has banned them all; say which."""
    daemon = server.daemon
    assert daemon is not None
    until(
        lambda: daemon.poll() is not None or {*victims} <= acknowledged(server),
        "it is killed, or all are banned",
    )
    return daemon.poll() is not None


def test_killed_at_any_system_call_it_loses_no_ban_and_doubles_none(server: Guarded) -> None:
    need("strace")
    dice, attackers = Random(11), list(subjects(200))  # noqa: S311 # repeatable, not secret
    banned: list[str] = []
    killed = 0
    for syscall, numbers in {
        "pwrite64": (1, 7, dice.randrange(8, 40)),
        "sendmsg,sendto": (1, 2, dice.randrange(3, 20)),
        "write": (1, dice.randrange(2, 20)),
        "fsync,fdatasync": (1, 2),
    }.items():
        for number in numbers:
            victims = [attackers.pop() for _ in range(20)]
            with doomed(server, syscall, number):
                attack(server, victims)
                killed += over(server, victims)
            assert sound(server)
            banned += victims
            server.start()
            server.blocked(*banned)
            assert not [one for one, times in Counter(server.kernel()).items() if times > 1]
            assert acknowledged(server) <= set(server.kernel())
            assert sorted(server.bans()) == sorted(banned)
    assert killed >= 6


def test_restarted_at_random_points_of_ten_thousand_lines_it_counts_each_once(
    server: Guarded,
) -> None:
    dice = Random(5)  # noqa: S311 # repeatable, not secret
    guilty, innocent = subjects(800), subjects(1500, first=1000)
    addresses = [one for one in guilty for _ in range(5)] + [
        one for one in innocent for _ in "1234"
    ]
    dice.shuffle(addresses)
    lines = [failure(address, number) for number, address in enumerate(addresses)]
    assert len(lines) == 10_000
    for start in range(0, len(lines), 2500):
        for piece in range(start, start + 2500, 250):
            server.write(*lines[piece : piece + 250])
        time.sleep(dice.uniform(0, 0.05))  # the moment is what is random here
        server.end(dice.choice([signal.SIGKILL, signal.SIGTERM]))
        server.start()
    server.blocked(*guilty)
    assert sorted(server.bans()) == sorted(guilty)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_failure_before_a_restart_counts_after_it(server: Guarded, how: signal.Signals) -> None:
    server.fail(X, 4)
    until(lambda: server.status().rules[0].failures == 4, "four failures are counted")
    server.end(how)
    server.start()
    assert server.bans() == []
    server.fail(X, 1)
    server.blocked(X)


def test_what_was_released_is_not_banned_anew_by_reading_again(server: Guarded) -> None:
    server.fail(X)
    server.blocked(X)
    server.unban(X)
    assert server.kernel() == []
    for how in (signal.SIGKILL, signal.SIGTERM):
        server.end(how)
        server.start()
        server.fail("203.0.113.77" if how == signal.SIGKILL else "203.0.113.78")
        until(server.bans, "what came later is counted")
        assert X not in server.bans()
        assert X not in server.kernel()
    server.fail(X)
    server.blocked(X)


def test_asked_to_end_amid_a_storm_it_goes_in_two_seconds_and_bans_stay(server: Guarded) -> None:
    storm = [line for one in subjects(2000) for line in [one] * 5]
    for start in range(0, len(storm), 2500):
        server.write(*_lines(storm[start : start + 2500]))
    until(lambda: len(server.kernel()) > 20, "the storm is being dealt with")
    assert server.end(signal.SIGTERM, within=2) == 0
    held = set(server.kernel())
    assert len(held) > 20
    server.start()
    server.blocked(*subjects(2000))


def _lines(addresses: list[str]) -> list[str]:
    return [failure(address, number) for number, address in enumerate(addresses)]
