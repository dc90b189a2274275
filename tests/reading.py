# A reader of sources for the tests: takes blocks in a task and waits for what it expects.
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


def first_number(line: bytes) -> float | None:
    """Read the stamp of lines such as `123.5 text`."""
    try:
        return float(line.split(b" ", 1)[0])
    except ValueError:
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

    @property
    def again(self) -> bytes:
        return b"".join(block.data for block in self.blocks if block.again)

    @property
    def live(self) -> bytes:
        return b"".join(block.data for block in self.blocks if block.live)

    async def until(self, said: Callable[[], bool], seconds: float = 10) -> None:
        """Wait until something holds; looks anew after each block and each 20 ms."""
        async with asyncio.timeout(seconds):
            while not said():
                self.came.clear()
                try:
                    async with asyncio.timeout(0.02):
                        await self.came.wait()
                except TimeoutError:
                    continue

    async def lines_counted(self, count: int) -> None:
        await self.until(lambda: self.data.count(b"\n") >= count)

    async def lines(self, expected: bytes, seconds: float = 10) -> None:
        """Wait for exactly these lines; fails with the difference."""
        try:
            await self.until(lambda: len(self.data) >= len(expected), seconds)
        except TimeoutError:
            assert self.data == expected
        assert self.data == expected


@asynccontextmanager
async def reading(
    source: Source, resume: Position | None = None, since: float = 0.0
) -> AsyncIterator[Reader]:
    """Read a source in a task for as long as the body runs."""
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


def files(*paths: Path | str, stamp: Stamp = no_stamp) -> Source:
    return Files(tuple(map(str, paths))).open(stamp, lambda: CLOCK)


def append(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))
