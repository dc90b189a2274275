# Log files read across all that happens to log files.
import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from pyfilter.interfaces import Source, Stamp
from pyfilter.model import Block, Position
from pyfilter.sources import Files

CLOCK = 1_700_000_000.0


def no_stamp(_: bytes) -> float | None:
    return None


class Reader:
    """Takes blocks of a source and remembers them."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.blocks: list[Block] = []
        self.came = asyncio.Event()

    async def run(self, resume: Position | None, since: float) -> None:
        async for block in self.source.blocks(resume, since):
            self.blocks.append(block)
            self.came.set()

    @property
    def data(self) -> bytes:
        return b"".join(block.data for block in self.blocks)

    async def until(self, said: Callable[[], bool]) -> None:
        """Wait until something holds; looks anew after each block and each 20 ms."""
        async with asyncio.timeout(10):
            while not said():
                self.came.clear()
                try:
                    async with asyncio.timeout(0.02):
                        await self.came.wait()
                except TimeoutError:
                    continue

    async def lines(self, expected: bytes) -> None:
        try:
            await self.until(lambda: len(self.data) >= len(expected))
        except TimeoutError:
            assert self.data == expected
        assert self.data == expected


@asynccontextmanager
async def reading(
    *paths: Path | str,
    resume: Position | None = None,
    since: float = 0.0,
    stamp: Stamp = no_stamp,
) -> AsyncIterator[Reader]:
    source = Files(tuple(map(str, paths))).open(stamp, lambda: CLOCK)
    reader = Reader(source)
    task = asyncio.create_task(reader.run(resume, since))
    try:
        await asyncio.sleep(0)
        yield reader
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    if not task.cancelled() and (error := task.exception()):
        raise error


def append(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_lines_are_yielded_as_they_are_written(tmp_path: Path) -> None:
    log = tmp_path / "auth.log"
    log.touch()
    async with reading(log) as reader:
        append(log, b"one\n")
        await reader.lines(b"one\n")
        append(log, b"two\nthree\n")
        await reader.lines(b"one\ntwo\nthree\n")
    assert all(block.live and block.read_at == CLOCK for block in reader.blocks)


async def test_a_file_missing_at_start_is_read_from_its_beginning(tmp_path: Path) -> None:
    log = tmp_path / "auth.log"
    async with reading(log) as reader:
        assert reader.source.state().state == "waiting"
        append(log, b"one\n")
        await reader.lines(b"one\n")
        assert reader.source.state().state == "ok"


async def test_rename_and_create_between_two_lines_loses_nothing(tmp_path: Path) -> None:
    log = tmp_path / "auth.log"
    async with reading(log) as reader:
        append(log, b"one\n")
        await reader.lines(b"one\n")
        log.rename(tmp_path / "auth.log.1")
        append(log, b"two\n")
        await reader.lines(b"one\ntwo\n")


async def test_descriptors_are_freed_when_the_iterator_is_closed(tmp_path: Path) -> None:
    before = descriptors()
    log = tmp_path / "auth.log"
    async with reading(log) as reader:
        append(log, b"one\n")
        await reader.lines(b"one\n")
    assert descriptors() == before
