# Where files are read from at start: the time asked for, the place of an earlier life, rotated files.
import gzip
import json
import os
import shutil
from pathlib import Path

import pytest

from pyfilter.interfaces import Stamp
from pyfilter.model import Position
from reading import append, files, first_number, no_stamp, reading


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "auth.log"


def numbered(first: int, last: int) -> bytes:
    return b"".join(b"%d line\n" % number for number in range(first, last))


async def life(log: Path, expected: bytes, resume: Position | None = None) -> Position:
    """Read in a life of its own until the expected lines have come; return the place."""
    async with reading(files(log, stamp=first_number), resume) as reader:
        await reader.lines(expected)
        position = reader.source.position()
    assert position is not None
    return position


async def test_what_was_written_since_is_read_as_catch_up(log: Path) -> None:
    log.write_bytes(numbered(0, 50_000))
    async with reading(files(log, stamp=first_number), since=49_000) as reader:
        await reader.lines(numbered(49_000, 50_000))
        assert not reader.live
        append(log, b"50000 line\n")
        await reader.until(lambda: reader.live == b"50000 line\n")
    assert not reader.again


async def test_lines_without_stamp_belong_to_the_line_before(log: Path) -> None:
    log.write_bytes(b"1 one\n more\n2 two\n more\n3 three\n")
    async with reading(files(log, stamp=first_number), since=2) as reader:
        await reader.lines(b"2 two\n more\n3 three\n")


async def test_nothing_is_read_of_an_old_log(log: Path) -> None:
    log.write_bytes(numbered(0, 5000))
    async with reading(files(log, stamp=first_number), since=10_000) as reader:
        append(log, b"10001 line\n")
        await reader.lines(b"10001 line\n")
        assert reader.live == b"10001 line\n"


async def test_without_stamps_and_without_a_place_reading_starts_at_the_end(log: Path) -> None:
    append(log, b"old\n")
    async with reading(files(log)) as reader:
        append(log, b"new\n")
        await reader.lines(b"new\n")


async def test_without_stamps_reading_goes_on_where_it_ended(log: Path) -> None:
    append(log, b"")
    async with reading(files(log)) as reader:
        append(log, b"one\n")
        await reader.lines(b"one\n")
        position = reader.source.position()
    append(log, b"two\n")
    async with reading(files(log), position) as reader:
        await reader.lines(b"two\n")
        assert not reader.live


async def test_lines_read_in_an_earlier_life_are_marked_exactly(log: Path) -> None:
    log.write_bytes(numbered(0, 100))
    position = await life(log, numbered(0, 100))
    append(log, numbered(100, 200))
    async with reading(files(log, stamp=first_number), position, since=50) as reader:
        await reader.lines(numbered(50, 200))
        assert reader.again == numbered(50, 100)
        append(log, numbered(200, 201))
        await reader.until(lambda: reader.live == numbered(200, 201))


async def test_missed_lines_are_read_though_older_than_asked_for(log: Path) -> None:
    log.write_bytes(numbered(0, 100))
    position = await life(log, numbered(0, 100))
    append(log, numbered(100, 200))
    async with reading(files(log, stamp=first_number), position, since=150) as reader:
        await reader.lines(numbered(100, 200))
        assert not reader.again


async def test_the_place_is_that_of_the_last_block_taken(log: Path) -> None:
    log.write_bytes(numbered(0, 200_000))
    source = files(log, stamp=first_number)
    blocks = source.blocks(None, 0.0)
    first = await anext(blocks)
    position = source.position()
    await blocks.aclose()
    async with reading(files(log, stamp=first_number), position) as reader:
        await reader.lines(numbered(0, 200_000))
    assert reader.again == first.data


async def test_a_place_in_the_middle_of_marked_lines_is_kept(log: Path) -> None:
    log.write_bytes(numbered(0, 200_000))
    position = await life(log, numbered(0, 200_000))
    source = files(log, stamp=first_number)
    blocks = source.blocks(position, 0.0)
    await anext(blocks)
    assert source.position() == position
    await blocks.aclose()


@pytest.mark.parametrize("stamp", [first_number, no_stamp])
async def test_the_rest_of_a_file_rotated_meanwhile_comes_first(log: Path, stamp: Stamp) -> None:
    append(log, b"")
    async with reading(files(log, stamp=stamp)) as reader:
        append(log, numbered(0, 10))
        await reader.lines(numbered(0, 10))
        position = reader.source.position()
    append(log, numbered(10, 20))
    log.rename(log.with_name("auth.log.1"))
    append(log, numbered(20, 30))
    async with reading(files(log, stamp=stamp), position, since=1e9) as reader:
        await reader.lines(numbered(10, 30))
        assert not reader.again


async def test_two_rotations_meanwhile_lose_nothing(log: Path) -> None:
    append(log, numbered(0, 10))
    position = await life(log, numbered(0, 10))
    append(log, numbered(10, 20))
    log.rename(log.with_name("auth.log.2"))
    append(log, numbered(20, 30))
    log.rename(log.with_name("auth.log-20260101"))
    async with reading(files(log, stamp=first_number), position, since=5) as reader:
        await reader.lines(numbered(5, 30))
        assert reader.again == numbered(5, 10)
        append(log, numbered(30, 40))
        await reader.until(lambda: reader.live == numbered(30, 40))


async def test_copytruncate_meanwhile_loses_nothing(log: Path) -> None:
    append(log, numbered(0, 10))
    position = await life(log, numbered(0, 10))
    append(log, numbered(10, 20))
    shutil.copyfile(log, log.with_name("auth.log.1"))
    os.truncate(log, 0)
    append(log, numbered(20, 30))
    async with reading(files(log, stamp=first_number), position, since=1e9) as reader:
        await reader.lines(numbered(10, 30))
        assert not reader.again


async def test_a_file_truncated_meanwhile_is_read_anew(log: Path) -> None:
    append(log, numbered(0, 10))
    position = await life(log, numbered(0, 10))
    log.write_bytes(numbered(100, 300))
    async with reading(files(log, stamp=first_number), position, since=1e9) as reader:
        await reader.lines(numbered(100, 300))


async def test_the_window_reaches_back_into_the_rotated_file(log: Path) -> None:
    append(log.with_name("auth.log.1"), numbered(0, 10))
    append(log, numbered(10, 20))
    async with reading(files(log, stamp=first_number), since=5) as reader:
        await reader.lines(numbered(5, 20))


async def test_compressed_files_are_left_alone(log: Path) -> None:
    log.with_name("auth.log.2.gz").write_bytes(gzip.compress(numbered(0, 10)))
    append(log, numbered(10, 20))
    async with reading(files(log, stamp=first_number)) as reader:
        await reader.lines(numbered(10, 20))


async def test_a_token_that_is_not_ours_is_no_place(log: Path) -> None:
    append(log, numbered(0, 10))
    strange = Position(str(log), '{"cursor": 7}')
    async with reading(files(log, stamp=first_number), strange) as reader:
        await reader.lines(numbered(0, 10))


async def test_the_place_of_a_file_that_is_away_is_kept(log: Path) -> None:
    append(log, numbered(0, 10))
    position = await life(log, numbered(0, 10))
    log.rename(log.with_name("hidden"))
    async with reading(files(log, stamp=first_number), position) as reader:
        await reader.until(lambda: reader.source.state().state == "waiting")
        assert reader.source.position() == position
    log.with_name("hidden").rename(log)
    append(log, numbered(10, 20))
    async with reading(files(log, stamp=first_number), position) as reader:
        await reader.lines(numbered(0, 20))
        assert reader.again == numbered(0, 10)


async def test_a_copy_that_was_read_further_than_its_original_is_not_repeated(log: Path) -> None:
    append(log, numbered(0, 10))
    position = await life(log, numbered(0, 10))
    append(log, numbered(10, 20))
    shutil.copyfile(log, log.with_name("auth.log.2"))
    os.truncate(log, 0)
    log.rename(log.with_name("auth.log.1"))
    async with reading(files(log, stamp=no_stamp), position) as reader:
        await reader.lines(numbered(10, 20))
        further = reader.source.position()
    append(log, numbered(20, 30))
    async with reading(files(log, stamp=no_stamp), further) as reader:
        await reader.lines(numbered(20, 30))


async def test_a_line_written_late_to_the_old_file_hides_no_newer_file(log: Path) -> None:
    append(log, numbered(0, 10))
    position = await life(log, numbered(0, 10))
    log.rename(log.with_name("auth.log.2"))
    append(log, numbered(20, 30))
    log.rename(log.with_name("auth.log.1"))
    append(log.with_name("auth.log.2"), numbered(10, 20))
    async with reading(files(log, stamp=no_stamp), position) as reader:
        await reader.until(lambda: reader.data.count(b"\n") >= 20)
    assert sorted(reader.data.splitlines()) == sorted(numbered(10, 30).splitlines())


async def test_rotated_files_that_were_never_of_interest_stay_so(log: Path) -> None:
    for number in range(3, 0, -1):
        append(log.with_name(f"auth.log.{number}"), numbered(10 * (3 - number), 10 * (4 - number)))
        os.utime(log.with_name(f"auth.log.{number}"), (1000 - number, 1000 - number))
    append(log, numbered(2000, 2010))
    resume = None
    for _ in range(3):
        async with reading(files(log, stamp=first_number), resume, since=1500) as reader:
            await reader.lines(numbered(2000, 2010))
            resume = reader.source.position()
            assert resume is not None
        # Some of what is remembered of rotated files may be lost: there is a limit to it.
        marks = json.loads(resume.token)
        resume = Position(resume.source, json.dumps([marks[0], marks[-1]]))
    log.rename(log.with_name("auth.log.0"))
    append(log, numbered(2010, 2020))
    async with reading(files(log, stamp=first_number), resume, since=1500) as reader:
        await reader.lines(numbered(2000, 2020))
        assert reader.again == numbered(2000, 2010)
