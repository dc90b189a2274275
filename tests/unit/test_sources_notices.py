# Notices of the kernel: taken when somebody waits, kept for who waits later.
import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from asyncinotify import Inotify, Mask

from pyfilter.sources.notices import Notices, taken


@pytest.fixture
def inotify(tmp_path: Path) -> Iterator[Inotify]:
    with Inotify() as made:
        os.set_blocking(made.fd, False)
        made.add_watch(tmp_path, Mask.CREATE)
        yield made


async def test_a_notice_comes_with_its_name(inotify: Inotify, tmp_path: Path) -> None:
    notices = Notices(inotify.fd)
    coming = asyncio.create_task(notices.next(10))
    await asyncio.sleep(0)
    (tmp_path / "auth.log").touch()
    assert await coming == [(1, int(Mask.CREATE), 0, b"auth.log")]
    notices.rest()


async def test_what_comes_while_nobody_waits_is_there_for_the_next(
    inotify: Inotify, tmp_path: Path
) -> None:
    notices = Notices(inotify.fd)
    assert await notices.next(0.001) == []
    (tmp_path / "one").touch()
    await asyncio.sleep(0.001)
    (tmp_path / "two").touch()
    await asyncio.sleep(0.001)
    assert [name for *_, name in await notices.next(10)] == [b"one", b"two"]
    notices.rest()


async def test_very_many_notices_are_taken_in_one_go(inotify: Inotify, tmp_path: Path) -> None:
    for number in range(3000):
        (tmp_path / f"{number:>050}").touch()
    names = [name for *_, name in await Notices(inotify.fd).next(10)]
    assert names == [b"%050d" % number for number in range(3000)]
    assert taken(inotify.fd) == []
