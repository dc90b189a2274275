# Which source is read when none was named, and how it goes over to a better one.
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from journals import Journald, journald, missing
from pyfilter.errors import SettingsError
from pyfilter.sources import Files, Stdin, Usual, find
from reading import append, descriptors, first_number, no_stamp, reading

OURS = "_TRANSPORT=journal"
needs_journald = pytest.mark.skipif(bool(missing()), reason=missing())


def test_the_users_word_decides_what_is_read() -> None:
    usual, matches = ("/var/log/auth.log",), (OURS,)
    assert find(None, usual=usual, matches=matches) == Usual(usual, matches)
    assert find(None, usual=usual, matches=matches, prefer="file") == Usual(usual, matches, "file")
    assert find(None) is None
    assert find((), usual=usual) is None
    assert find(("-",)) == Stdin()
    assert find(("/a", "/b*")) == Files(("/a", "/b*"))
    assert find(("/a",), fallback=True) == Files(("/a",))
    assert find(("/a",), matches=matches, fallback=True) == Usual(("/a",), matches, "file")


async def test_without_a_journal_the_first_file_that_exists_is_read(tmp_path: Path) -> None:
    first, second = tmp_path / "auth.log", tmp_path / "secure"
    second.touch()
    source = Usual((str(first), str(second))).open(no_stamp, time.time)
    async with reading(source) as reader:
        await reader.until(lambda: source.state().state == "ok")
        append(second, b"one\n")
        await reader.lines(b"one\n")
        assert source.state().detail == f"reading {second}"
        assert source.state().lines == 1
    assert {block.source for block in reader.blocks} == {source.name}


async def test_while_nothing_is_there_the_state_says_so(tmp_path: Path) -> None:
    log = tmp_path / "auth.log"
    source = Usual((str(log),)).open(no_stamp, time.time)
    before = descriptors()
    async with reading(source) as reader:
        assert source.state().state == "waiting"
        assert str(log) in source.state().detail
        log.touch()
        await reader.until(lambda: source.state().state == "ok")
        append(log, b"one\n")
        await reader.lines(b"one\n")
    assert descriptors() == before


async def test_the_place_is_kept_over_lives(tmp_path: Path) -> None:
    log = tmp_path / "auth.log"
    append(log, b"1 one\n")
    settings = Usual((str(log),))
    source = settings.open(first_number, time.time)
    async with reading(source) as reader:
        await reader.lines(b"1 one\n")
        position = source.position()
    append(log, b"2 two\n")
    async with reading(settings.open(first_number, time.time), position) as reader:
        await reader.lines(b"1 one\n2 two\n")
    assert reader.again == b"1 one\n"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Journald]:
    with journald(tmp_path / "run") as running:
        yield running


@needs_journald
async def test_the_journal_stands_in_until_the_named_file_appears(
    server: Journald, tmp_path: Path
) -> None:
    log = tmp_path / "auth.log"
    settings = Usual((str(log),), (OURS,), "file", server.directory)
    source = settings.open(first_number, time.time)
    async with reading(source, since=time.time()) as reader:
        await reader.until(lambda: source.state().state == "ok")
        assert source.state().detail == f"reading the journal while {log} is missing"
        server.write(b"from the journal")
        await reader.lines_counted(1)
        append(log, b"%f from the file\n" % (time.time() + 1))
        await reader.lines_counted(2)
        assert source.state().detail == f"reading {log}"
        server.write(b"not this")
        append(log, b"%f second\n" % (time.time() + 1))
        await reader.lines_counted(3)
    assert [line.split(b" ", 1)[1][-8:] for line in reader.data.splitlines()] == [
        b" journal",
        b"the file",
        b"second",
    ]


@needs_journald
async def test_the_journal_is_preferred_to_a_usual_file(server: Journald, tmp_path: Path) -> None:
    log = tmp_path / "auth.log"
    log.touch()
    source = Usual((str(log),), (OURS,), directory=server.directory).open(no_stamp, time.time)
    async with reading(source, since=time.time()) as reader:
        await reader.until(lambda: source.state().detail == "reading the journal")
        append(log, b"not this\n")
        server.write(b"this")
        await reader.lines_counted(1)
    assert b" sshd[%d]: this\n" % os.getpid() in reader.data


def test_what_the_journal_would_refuse_is_refused_at_once() -> None:
    with pytest.raises(SettingsError, match="any user can write that field"):
        Usual(("/var/log/x.log",), ("SYSLOG_IDENTIFIER=x",)).open(no_stamp, time.time)
