# Log files read across all that happens to log files while somebody watches.
import asyncio
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from reading import CLOCK, append, descriptors, files, reading

NOBODY = 65534


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "auth.log"


async def test_lines_are_yielded_as_they_are_written(log: Path) -> None:
    log.touch()
    async with reading(files(log)) as reader:
        append(log, b"one\n")
        await reader.lines(b"one\n")
        append(log, b"two\nthree\n")
        await reader.lines(b"one\ntwo\nthree\n")
    assert all(block.live and block.read_at == CLOCK for block in reader.blocks)


async def test_a_file_missing_at_start_is_read_from_its_beginning(log: Path) -> None:
    async with reading(files(log)) as reader:
        assert reader.source.state().state == "waiting"
        append(log, b"one\n")
        await reader.lines(b"one\n")
        assert reader.source.state().state == "ok"


async def test_a_folder_missing_at_start_is_found_when_it_comes(tmp_path: Path) -> None:
    log = tmp_path / "new" / "deep" / "auth.log"
    async with reading(files(log)) as reader:
        log.parent.mkdir(parents=True)
        append(log, b"one\n")
        await reader.lines(b"one\n")


async def test_a_line_written_in_pieces_comes_whole(log: Path) -> None:
    async with reading(files(log)) as reader:
        for piece in (b"on", b"e", b"\ntw"):
            append(log, piece)
            await asyncio.sleep(0.01)
        await reader.lines(b"one\n")
        append(log, b"o\n")
        await reader.lines(b"one\ntwo\n")


async def test_any_bytes_pass_through(log: Path) -> None:
    odd = b"\xff\xfe\x00 caf\xc3\xa9\x1b[0m\r\n\r\n\n\xe2\x80\xa8\n"
    async with reading(files(log)) as reader:
        append(log, odd)
        await reader.lines(odd)


async def test_rename_and_create_between_two_lines_loses_nothing(log: Path) -> None:
    async with reading(files(log)) as reader:
        append(log, b"one\n")
        await reader.lines(b"one\n")
        log.rename(log.with_suffix(".log.1"))
        append(log, b"two\n")
        await reader.lines(b"one\ntwo\n")


async def test_five_lines_and_several_renames_at_once_lose_nothing(log: Path) -> None:
    async with reading(files(log)) as reader:
        append(log, b"0\n")
        await reader.lines(b"0\n")
        append(log, b"1\n2\n3\n4\n5\n")
        log.rename(log.with_name("auth.log.1"))
        append(log, b"6\n")
        await reader.until(lambda: b"6" in reader.data)
        log.with_name("auth.log.1").rename(log.with_name("auth.log.2"))
        log.rename(log.with_name("auth.log.1"))
        append(log, b"7\n")
        await reader.lines(b"0\n1\n2\n3\n4\n5\n6\n7\n")


async def test_a_writer_that_keeps_the_old_file_open_is_still_read(log: Path) -> None:
    before = descriptors()
    async with reading(files(log)) as reader:
        with log.open("ab", buffering=0) as old:
            old.write(b"one\n")
            await reader.lines(b"one\n")
            log.rename(log.with_name("auth.log.1"))
            append(log, b"two\n")
            await reader.lines(b"one\ntwo\n")
            old.write(b"three\n")
            await reader.lines(b"one\ntwo\nthree\n")
            log.with_name("auth.log.1").unlink()
            old.write(b"four\n")
            await reader.lines(b"one\ntwo\nthree\nfour\n")
        open_files = descriptors() - before
        # The rotated file is given up a moment after its writer has let go of it.
        await reader.until(lambda: descriptors() - before < open_files)
    assert descriptors() == before


async def test_copytruncate_loses_nothing_that_was_copied(log: Path) -> None:
    async with reading(files(log)) as reader:
        append(log, b"one\n")
        await reader.lines(b"one\n")
        append(log, b"two\n")
        shutil.copyfile(log, log.with_name("auth.log.1"))
        os.truncate(log, 0)
        append(log, b"three\n")
        await reader.lines(b"one\ntwo\nthree\n")


async def test_a_file_truncated_and_grown_larger_at_once_is_read_anew(log: Path) -> None:
    async with reading(files(log)) as reader:
        append(log, b"one\n")
        await reader.lines(b"one\n")
        log.write_bytes(b"another and longer\nthan before\n")
        await reader.lines(b"one\nanother and longer\nthan before\n")


async def test_a_writer_without_append_leaves_no_hole_in_the_first_line(log: Path) -> None:
    with log.open("wb", buffering=0) as writer:
        async with reading(files(log)) as reader:
            writer.write(b"x" * 10_000 + b"\n")
            await reader.until(lambda: len(reader.data) == 10_001)
            os.truncate(log, 0)
            writer.write(b"after\n")
            await reader.until(lambda: len(reader.data) > 10_001)
    assert reader.data[10_001:] == b"after\n"


async def test_delete_and_recreate_loses_nothing(log: Path) -> None:
    async with reading(files(log)) as reader:
        append(log, b"one\n")
        await reader.lines(b"one\n")
        append(log, b"two\n")
        log.unlink()
        append(log, b"three\n")
        await reader.lines(b"one\ntwo\nthree\n")


async def test_a_swapped_link_leads_to_the_new_file(tmp_path: Path) -> None:
    first, second = tmp_path / "a" / "log", tmp_path / "b" / "log"
    for place in (first, second):
        place.parent.mkdir()
        place.touch()
    link = tmp_path / "current"
    link.symlink_to("a")
    async with reading(files(link / "log")) as reader:
        append(first, b"one\n")
        await reader.lines(b"one\n")
        (tmp_path / "fresh").symlink_to("b")
        (tmp_path / "fresh").rename(link)
        append(second, b"two\n")
        await reader.lines(b"one\ntwo\n")


async def test_a_link_that_swings_back_repeats_nothing(tmp_path: Path) -> None:
    link, names = tmp_path / "current.log", ("a", "b", "a", "b")
    async with reading(files(link)) as reader:
        expected = b""
        for number, name in enumerate(names):
            (tmp_path / "fresh").symlink_to(name)
            (tmp_path / "fresh").rename(link)
            append(tmp_path / name, b"%d in %s\n" % (number, name.encode()))
            expected += b"%d in %s\n" % (number, name.encode())
            await reader.lines(expected)


async def test_globs_take_up_files_and_dated_folders_that_come_later(tmp_path: Path) -> None:
    async with reading(files(tmp_path / "20??-*" / "*.log")) as reader:
        for folder, name in (("2026-01", "a.log"), ("2026-02", "a.log"), ("2026-02", "b.log")):
            (tmp_path / folder).mkdir(exist_ok=True)
            append(tmp_path / folder / name, f"{folder} {name}\n".encode())
        append(tmp_path / "2026-01" / "other", b"not this\n")
        await reader.until(lambda: reader.data.count(b"\n") == 3)
    assert sorted(reader.data.splitlines()) == [
        b"2026-01 a.log",
        b"2026-02 a.log",
        b"2026-02 b.log",
    ]


async def test_a_glob_does_not_count_rotated_copies_again(log: Path) -> None:
    async with reading(files(f"{log}*")) as reader:
        append(log, b"one\n")
        await reader.lines(b"one\n")
        shutil.copyfile(log, log.with_name("auth.log.1"))
        os.truncate(log, 0)
        append(log, b"two\n")
        await reader.lines(b"one\ntwo\n")


async def test_a_log_written_anew_by_an_editor_is_not_counted_again(log: Path) -> None:
    lines = b"".join(b"%d line\n" % number for number in range(1000))
    async with reading(files(log)) as reader:
        append(log, lines)
        await reader.lines(lines)
        log.with_name("edited").write_bytes(lines.replace(b"500 line\n", b""))
        log.with_name("edited").rename(log)
        await reader.until(lambda: "waiting" not in reader.source.state().detail)
        await asyncio.sleep(0.05)
        append(log, b"after\n")
        await reader.lines(lines + b"after\n")


async def test_what_is_no_file_is_refused_while_others_are_read(tmp_path: Path, log: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    paths = (tmp_path / "pipe", tmp_path / "folder", "/dev/null", log)
    async with reading(files(*paths)) as reader:
        append(log, b"one\n")
        await reader.lines(b"one\n")
        state = reader.source.state()
    assert state.state == "denied"
    for words in ("pipe: is a FIFO", "folder: is a folder", "/dev/null: is a device"):
        assert words in state.detail


@pytest.fixture
def public() -> Iterator[Path]:
    """Make a folder that every user may enter."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


async def test_a_log_that_may_be_read_at_last_is_read(public: Path) -> None:
    log = public / "auth.log"
    log.write_bytes(b"1 one\n")
    log.chmod(0)
    root = os.geteuid() == 0
    if root:
        os.chown(log, NOBODY, NOBODY)
        os.seteuid(NOBODY)
    try:
        async with reading(files(log)) as reader:
            await reader.until(lambda: reader.source.state().state == "denied")
            assert "Permission denied" in reader.source.state().detail
            log.chmod(0o600)
            await reader.until(lambda: reader.source.state().state == "ok")
            append(log, b"2 two\n")
            await reader.until(lambda: b"2 two\n" in reader.data)
    finally:
        if root:
            os.seteuid(0)


async def test_many_blocks_let_others_in_between(log: Path) -> None:
    line = b"x" * 99 + b"\n"
    log.write_bytes(b"first\n")
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(other())
    async with reading(files(log)) as reader:
        await asyncio.sleep(0.02)
        turns = 0
        append(log, line * 50_000)
        await reader.until(lambda: reader.data.count(b"\n") >= 50_000)
    task.cancel()
    assert all(len(block.data) <= 1 << 20 for block in reader.blocks)
    assert turns >= len(reader.blocks) >= 5


async def test_the_state_tells_lines_last_line_and_lag(log: Path) -> None:
    async with reading(files(log)) as reader:
        append(log, b"one\ntwo\nunfinished")
        await reader.lines(b"one\ntwo\n")
        state = reader.source.state()
    assert (state.state, state.lines, state.last_line, state.lag) == ("ok", 2, CLOCK, 10)


async def test_descriptors_are_freed_when_the_iterator_is_closed(log: Path) -> None:
    before = descriptors()
    async with reading(files(log)) as reader:
        append(log, b"one\n")
        await reader.lines(b"one\n")
    assert descriptors() == before


@pytest.mark.skipif(shutil.which("logrotate") is None, reason="logrotate is not installed")
@pytest.mark.parametrize("way", ["create 0600", "copytruncate", "nocreate\ndateext"])
async def test_logrotate_loses_and_repeats_nothing(tmp_path: Path, way: str) -> None:
    tmp_path.chmod(0o755)
    log, expected = tmp_path / "auth.log", b""
    rules = tmp_path / "rules"
    rules.write_text(f"{log} {{\nrotate 9\n{way}\n}}\n")
    rules.chmod(0o644)
    command = ["logrotate", "--force", "--state", str(tmp_path / "state"), str(rules)]
    async with reading(files(log)) as reader:
        for number in range(3):
            append(log, b"before %d\n" % number)
            if way != "nocreate\ndateext" or not number:
                subprocess.run(command, check=True)
            append(log, b"after %d\n" % number)
            expected += b"before %d\nafter %d\n" % (number, number)
            await reader.lines(expected)


async def test_a_quiet_file_comes_between_the_blocks_of_a_flooded_one(tmp_path: Path) -> None:
    flooded, quiet = tmp_path / "flooded.log", tmp_path / "quiet.log"
    flooded.touch()
    quiet.touch()
    async with reading(files(flooded, quiet)) as reader:
        append(flooded, b"flood\n" * 1_000_000)
        await reader.until(lambda: bool(reader.blocks))
        append(quiet, b"quiet\n")
        await reader.until(lambda: len(reader.data) == 6_000_006, seconds=30)
    order = [block.data for block in reader.blocks]
    assert order.index(b"quiet\n") < len(order) - 1
