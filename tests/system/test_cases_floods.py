# Floods and reloads: memory stays bounded, nobody else's ban waits, a broken file changes nothing.
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from guarded import Guarded, guarded, subjects, until
from pyfilter.errors import SettingsError
from system.lab import need

pytestmark = pytest.mark.root
MOST = 256 << 20  # bytes of memory
FLOOD = 400_000  # addresses, each with one failure
CHUNK = 20_000
OTHER = """
[rules.myapp]
logpath = "{log}"
pattern = ['^<time> login failed for user <user> from <ip>$']
"""


def flood() -> Iterator[bytes]:
    """Yield lines about addresses that all differ, of both families in turn."""
    for start in range(0, FLOOD, CHUNK):
        yield b"".join(
            b"Nov 23 07:00:00 web01 sshd[%d]: Failed password for root from %s port %d ssh2\n"
            % (number % 32768, _address(number), number % 60000 + 1)
            for number in range(start, start + CHUNK)
        )


def _address(number: int) -> bytes:
    if number % 4:
        return b"%d.%d.%d.%d" % (11 + (number >> 24), *(number >> n & 255 for n in (16, 8, 0)))
    return b"2a%02x:%x:%x:%x::1" % (
        number >> 16 & 255,
        number & 0xFFFF,
        number >> 3 & 255,
        number & 7,
    )


def test_a_flood_of_addresses_takes_bounded_memory_and_holds_up_no_ban(tmp_path: Path) -> None:
    need("ip", "nsenter", "nft")
    other = tmp_path / "myapp.log"
    other.touch()
    with guarded(tmp_path, OTHER.format(log=other)) as server:
        server.start()

        def write() -> None:
            for lines in flood():
                server.write(lines)

        flooding = threading.Thread(target=write)
        flooding.start()
        peak, banned = 0, 0
        while flooding.is_alive() or server.status().sources[0].lag:
            (x,) = subjects(1, first=banned + 1)
            with other.open("a") as log:
                log.write(f"2026-11-23T07:00:00Z login failed for user a from {x}\n" * 5)
            server.blocked(x)  # while the flood goes on
            banned += 1
            peak = max(peak, server.resident())
        flooding.join()
        assert server.status().rules[1].failures == FLOOD
        assert banned > 2
        assert peak <= MOST, f"{peak >> 20} MiB"
        assert server.resident() <= MOST
        assert "Traceback" not in server.told()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Guarded]:
    need("ip", "nsenter", "nft")
    with guarded(tmp_path) as made:
        made.start()
        yield made


BROKEN = (
    "maxretri = 3\n",
    "[rules.nosuchservice]\n",
    "[rules.mine]\nlogpath = '/x'\npattern = ['(a+)+ from <ip>']\n",
    "[rules.mine]\nlogpath = '/x'\npattern = ['^no address$']\n",
    "[firewall]\ntype = 'nftable'\n",
    "[defaults\n",
    "\0",
)


def test_a_broken_file_leaves_the_old_configuration_in_force(server: Guarded) -> None:
    before, after = subjects(2)
    good = server.config.read_bytes()
    server.fail(before)
    server.blocked(before)
    server.fail(after, 3)
    for broken in BROKEN:
        server.config.write_bytes(good + broken.encode())
        with pytest.raises(SettingsError):
            server.reload()
        assert server.daemon is not None
        server.daemon.send_signal(signal.SIGHUP)
        assert server.kernel() == [before]
        assert [rule.name for rule in server.status().rules] == ["sshd"]
    server.config.unlink()
    with pytest.raises(SettingsError):
        server.reload()
    server.fail(after, 2)  # the failures from before still count
    server.blocked(after)
    server.config.write_bytes(good.replace(b"maxretry = 5", b"maxretry = 2"))
    server.reload()
    (new,) = subjects(1, first=50)
    server.fail(new, 2)
    server.blocked(new)
    assert "Traceback" not in server.told()


def test_a_reload_amid_lines_loses_none_and_counts_none_twice(server: Guarded) -> None:
    guilty, innocent = subjects(40), subjects(40, first=100)
    good = server.config.read_text()
    for number in range(5):
        for address in guilty:
            server.fail(address, 1)
        for address in innocent[:-1] if number else []:
            server.fail(address, 1)
        server.config.write_text(f"{good}\n# {number}\n")
        server.reload()
    server.blocked(*guilty)
    until(lambda: server.status().rules[0].failures == 40 * 5 + 39 * 4, "all is counted, once")
    assert sorted(server.bans()) == sorted(guilty)
