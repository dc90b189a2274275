# Finding a time in a file without reading the file.
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyfilter.sources.lines import MAX_LINE, Cutter, without_overlong
from pyfilter.sources.search import find_time
from reading import first_number


@pytest.fixture
def long_log(tmp_path: Path) -> Iterator[int]:
    with (tmp_path / "log").open("w+b") as file:
        file.writelines(b"%08d a line of a log\n more of it\n" % n for n in range(1_000_000))
        file.flush()
        yield file.fileno()


def test_few_lines_are_looked_at(long_log: int) -> None:
    looked = 0

    def stamp(line: bytes) -> float | None:
        nonlocal looked
        looked += 1
        return first_number(line)

    size = os.fstat(long_log).st_size
    offset = find_time(long_log, size, 765_432, stamp)
    assert offset is not None
    assert os.pread(long_log, 8, offset) == b"00765432"
    assert looked < 2000


def test_the_ends_are_found(long_log: int) -> None:
    size = os.fstat(long_log).st_size
    assert find_time(long_log, size, -1, first_number) == 0
    assert find_time(long_log, size, 2_000_000, first_number) == size
    assert find_time(long_log, size, 5, lambda _: None) is None
    assert find_time(long_log, 0, 5, first_number) is None


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 3), max_size=40), st.lists(st.integers(0, 40_000), max_size=40))
def test_it_is_the_first_line_of_that_time(steps: list[int], padding: list[int]) -> None:
    time, lines = 0, []
    for step, pad in zip(steps, padding, strict=False):
        time += step
        lines.append(b"%d %s\n" % (time, b"x" * pad))
    fd = os.memfd_create("log")
    with os.fdopen(fd, "r+b", buffering=0) as file:
        file.write(b"".join(lines))
        size = os.fstat(fd).st_size
        for since in range(time + 2):
            early = [line for line in lines if int(line.split()[0]) < since]
            found = find_time(fd, size, since, first_number)
            assert found == (sum(map(len, early)) if lines else None)


@given(st.lists(st.sampled_from([1, 100, MAX_LINE, MAX_LINE + 1, 3 * MAX_LINE]), max_size=12))
def test_only_overlong_lines_are_left_out(lengths: list[int]) -> None:
    lines = [bytes([97 + number]) * length + b"\n" for number, length in enumerate(lengths)]
    data, dropped = without_overlong(b"".join(lines))
    kept = [line for line in lines if len(line) <= MAX_LINE + 1]
    assert data == b"".join(kept)
    assert dropped == len(lines) - len(kept)


@given(st.binary(max_size=300), st.integers(1, 50))
def test_a_stream_is_cut_into_whole_lines(stream: bytes, size: int) -> None:
    cutter = Cutter()
    cut = [cutter.feed(stream[at : at + size]) for at in range(0, len(stream), size)]
    assert all(piece.endswith(b"\n") for piece in cut if piece)
    assert b"".join(cut) == stream[: stream.rfind(b"\n") + 1]
