# Whatever happens to a log, and however often we start anew: every line exactly once.
import asyncio
import os
import shutil
import tempfile
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from pyfilter.interfaces import Stamp
from pyfilter.model import Position
from reading import Reader, append, files, first_number, no_stamp

STEPS = st.lists(
    st.sampled_from(
        (
            *("append", "append", "burst", "partial", "look", "look"),
            *("rename", "copytruncate", "recreate", "late", "restart", "rewrite"),
        )
    ),
    min_size=1,
    max_size=25,
)


@dataclass
class World:
    """A log, its writer and its reader."""

    log: Path
    stamp: Stamp
    number: int = 0
    rotated: int = 0
    unfinished: bytes = b""
    destroyed: bool = False
    written: list[bytes] = field(default_factory=list)
    read: list[bytes] = field(default_factory=list)
    position: Position | None = None
    reader: Reader | None = None
    task: "asyncio.Task[None] | None" = None

    def line(self) -> bytes:
        self.number += 1
        text = b"%d line\n" % self.number
        self.written.append(text)
        return text

    def write(self, data: bytes) -> None:
        append(self.log, self.unfinished + data)
        self.unfinished = b""

    async def start(self) -> None:
        source = files(self.log, stamp=self.stamp)
        self.reader = Reader(source)
        self.task = asyncio.create_task(self.reader.run(self.position, 0.0))
        await asyncio.sleep(0)

    async def stop(self) -> None:
        assert self.reader
        assert self.task
        self.task.cancel()
        with suppress(asyncio.CancelledError):
            await self.task
        self.position = self.reader.source.position() or self.position
        fresh = b"".join(block.data for block in self.reader.blocks if not block.again)
        self.read += fresh.splitlines(keepends=True)

    async def settle(self) -> None:
        """Wait until all that is whole has been read."""
        assert self.reader
        reader, count = self.reader, len(self.written)

        def done() -> bool:
            fresh = sum(b.data.count(b"\n") for b in reader.blocks if not b.again)
            return len(self.read) + fresh >= count

        with suppress(TimeoutError):
            await reader.until(done, 2)

    def rename(self) -> None:
        self.shift()
        self.log.rename(self.log.with_name("log.1"))

    def shift(self) -> None:
        for number in range(self.rotated, 0, -1):
            self.log.with_name(f"log.{number}").rename(self.log.with_name(f"log.{number + 1}"))
        self.rotated += 1

    async def step(self, name: str) -> None:
        if name == "append":
            self.write(self.line())
        elif name == "burst":
            self.write(b"".join(self.line() for _ in range(50)))
        elif name == "partial" and not self.unfinished:
            text = self.line()
            append(self.log, text[:3])
            self.unfinished = text[3:]
        elif name == "look":
            await asyncio.sleep(0.002)
        elif name == "restart":
            await self.stop()
            await self.start()
        elif name in {"rename", "late", "recreate", "copytruncate", "rewrite"}:
            await self.rotate(name)

    async def rotate(self, name: str) -> None:
        if self.unfinished:
            self.write(b"")
        if not self.log.exists():
            return
        # Bytes are destroyed: before anybody could read them, or before the last destruction could
        # be seen, lines may be lost. Renames destroy nothing and come in any number.
        if name in {"recreate", "rewrite"} or self.destroyed:
            await self.settle()
        self.destroyed = name in {"recreate", "copytruncate"}
        if name == "recreate":
            self.log.unlink()
        elif name == "rewrite":
            self.log.write_bytes(b"".join(self.line() for _ in range(60)))
            await self.settle()  # a second truncation at once would leave no trace of the first
        elif name == "late":
            with self.log.open("ab", buffering=0) as old:
                self.rename()
                self.write(self.line())
                old.write(self.line())
        elif name == "rename":
            self.rename()
        else:
            self.shift()
            shutil.copyfile(self.log, self.log.with_name("log.1"))
            os.truncate(self.log, 0)


async def live_through(steps: list[str], stamp: Stamp) -> None:
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder) / "log", stamp)
        world.log.touch()
        await world.start()
        for name in steps:
            await world.step(name)
        if world.unfinished:
            world.write(b"")
        await world.settle()
        await world.stop()
    assert sorted(world.read) == sorted(world.written)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(STEPS, st.sampled_from((first_number, no_stamp)))
def test_every_line_comes_exactly_once(steps: list[str], stamp: Stamp) -> None:
    asyncio.run(live_through(steps, stamp))
