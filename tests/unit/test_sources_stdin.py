# Standard input: pipes and files, to their end.
import os
import time
from pathlib import Path

from pyfilter.sources import Stdin
from pyfilter.sources.lines import MAX_LINE
from reading import no_stamp, reading


async def test_lines_of_a_pipe_come_as_they_are_written() -> None:
    out, into = os.pipe()
    source = Stdin(out).open(no_stamp, time.time)
    async with reading(source) as reader:
        os.write(into, b"one\ntw")
        await reader.lines(b"one\n")
        os.write(into, b"o\n" + b"x" * (MAX_LINE - 1000))
        await reader.lines(b"one\ntwo\n")
        os.write(into, b"x" * 2000 + b"\nthree\n")
        await reader.lines(b"one\ntwo\nthree\n")
        assert source.state().state == "ok"
        os.close(into)
        await reader.until(lambda: source.state().state == "blind")
    os.close(out)
    state = source.state()
    assert state.detail == "standard input has ended; 1 overlong lines left out"
    assert state.lines == 3
    assert source.position() is None


async def test_a_file_is_read_to_its_end(tmp_path: Path) -> None:
    file = tmp_path / "log"
    file.write_bytes(b"line\n" * 300_000)
    with file.open("rb") as opened:
        source = Stdin(opened.fileno()).open(no_stamp, time.time)
        async with reading(source) as reader:
            await reader.until(lambda: source.state().state == "blind")
    assert reader.data == b"line\n" * 300_000
