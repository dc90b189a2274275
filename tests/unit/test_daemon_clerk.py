# daemon/clerk: the blacklist files follow the bans, and the bans follow edits by hand.
import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from pyfilter.addresses import Network
from pyfilter.blacklist import Blacklist
from pyfilter.daemon.clerk import Clerk
from pyfilter.durations import FOREVER
from pyfilter.enforcer import Enforcer
from pyfilter.firewalls import Observe
from pyfilter.ledger import Memory
from pyfilter.model import Ban
from pyfilter.protection import Protection

X, Y = Network("203.0.113.13"), Network("203.0.113.14")


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not true():
            await asyncio.sleep(0.01)


class Desk:
    def __init__(self, folder: Path) -> None:
        self.v4 = folder / "blacklist.v4"
        self.enforcer = Enforcer(Memory().open(), Observe().open(), Protection(), lambda: 1000.0)
        files = Blacklist(str(self.v4), str(folder / "blacklist.v6"), "drop", str(folder / "state"))
        self.clerk = Clerk(files, self.enforcer, FOREVER)
        self.enforcer.notifiers.append(self.clerk)

    def ban(self, *subjects: Network) -> None:
        self.enforcer.apply([Ban(s, 1000.0, None, "5 failures", "sshd") for s in subjects])

    def banned(self) -> set[Network]:
        return {ban.subject for ban in self.enforcer.bans()}

    def text(self) -> str:
        return self.v4.read_text() if self.v4.exists() else ""


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    (tmp_path / "state").mkdir()
    desk = Desk(tmp_path)
    desk.ban(X)
    task = asyncio.create_task(desk.clerk.run())
    await until(lambda: "203.0.113.13/32" in desk.text())
    yield desk
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_ban_is_written_soon(desk: Desk) -> None:
    desk.ban(Y)
    await until(lambda: "-A INPUT -s 203.0.113.14/32 -j DROP" in desk.text())


async def test_a_line_taken_out_is_a_release(desk: Desk) -> None:
    desk.v4.write_text(desk.text().replace("-A INPUT -s 203.0.113.13/32 -j DROP\n", ""))
    await until(lambda: desk.banned() == set())


async def test_a_line_put_in_is_a_ban_for_ever(desk: Desk) -> None:
    line = "-A INPUT -s 203.0.113.14/32 -j DROP\n"
    desk.v4.write_text(desk.text().replace("COMMIT", f"{line}COMMIT"))
    await until(lambda: desk.banned() == {X, Y})
    assert [ban.until for ban in desk.enforcer.bans()] == [None, None]


async def test_a_broken_file_changes_nothing_and_is_reported(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    desk.v4.write_text("*filter\n-A INPUT -s 203.0.113\n")
    await until(lambda: "line 2" in caplog.text)
    assert desk.banned() == {X}
