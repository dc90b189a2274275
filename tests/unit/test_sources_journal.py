# The journal, as a real journald writes it and a real journalctl reads it.
import asyncio
import json
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from journals import Journald, journald, missing
from pyfilter.errors import SettingsError
from pyfilter.model import Position
from pyfilter.sources import Journal
from pyfilter.sources.entries import as_line, decode_entries
from pyfilter.sources.journalctl import journal_trouble, match_arguments, merged
from pyfilter.sources.lines import MAX_LINE
from reading import CLOCK, Reader, descriptors, no_stamp, reading

OURS = "_TRANSPORT=journal"
needs_journald = pytest.mark.skipif(bool(missing()), reason=missing())


def entry(**fields: object) -> bytes:
    place = {"__CURSOR": "c", "__REALTIME_TIMESTAMP": "1700000000000042"}
    return json.dumps(place | fields).encode() + b"\n"


def line(**fields: object) -> bytes:
    return as_line(decode_entries(entry(**fields))[0])


def test_an_entry_becomes_a_line_as_short_unix_prints_it() -> None:
    fields = {"_HOSTNAME": "web01", "SYSLOG_IDENTIFIER": "sshd", "_PID": "7", "MESSAGE": "hello"}
    assert line(**fields) == b"1700000000.000042 web01 sshd[7]: hello\n"


def test_a_line_break_in_a_message_makes_no_second_line() -> None:
    forged = "x\n1700000000.000042 web01 sshd[7]: Failed"
    assert line(MESSAGE=forged).count(b"\n") == 1
    assert b"x#0121700000000" in line(MESSAGE=forged)
    assert line(MESSAGE="end\n", SYSLOG_IDENTIFIER="a\nb").count(b"\n") == 1


def test_odd_fields_are_taken_as_they_are() -> None:
    assert line(MESSAGE=[104, 255, 0, 10, 98]).endswith(b": h\xff\x00#012b\n")
    assert b" cron[9]: " in line(SYSLOG_IDENTIFIER=None, _COMM="cron", SYSLOG_PID="9")
    assert b" unknown: " in line(MESSAGE=None)
    assert line(MESSAGE=["first", "second"]).endswith(b": first\n")
    assert line(MESSAGE="x" * (MAX_LINE + 1)) == b""


def test_what_is_no_entry_is_left_out() -> None:
    found = decode_entries(b"-- Boot 1 --\n" + entry(MESSAGE="a") + b"{}\n" + entry(MESSAGE="b"))
    assert [item.message for item in found] == ["a", "b"]


def test_matches_are_alternatives_of_trusted_fields() -> None:
    matches = ("_SYSTEMD_UNIT=ssh.service", "_UID=0 _COMM=sshd", "_COMM=mariadbd _UID=*")
    assert match_arguments(matches) == [
        *("_UID=0", "_SYSTEMD_UNIT=ssh.service"),
        *("+", "_UID=0", "_COMM=sshd"),
        *("+", "_COMM=mariadbd"),
    ]


def test_all_boots_of_this_machine_are_read_and_no_other_machine() -> None:
    assert merged(["_UID=0", "_COMM=sshd", "+", "_COMM=mariadbd"], "cafe") == [
        *("--merge", "_MACHINE_ID=cafe", "_UID=0", "_COMM=sshd"),
        *("+", "_MACHINE_ID=cafe", "_COMM=mariadbd"),
    ]


@pytest.mark.parametrize("match", ["SYSLOG_IDENTIFIER=sshd", "_COMM", "+", "--file=/x"])
def test_a_match_that_can_be_forged_is_refused(match: str) -> None:
    with pytest.raises(SettingsError, match="any user can write"):
        Journal((match,)).open(no_stamp, time.time)


def test_trouble_is_told_before_a_child_is_started(tmp_path: Path) -> None:
    assert "no journal files" in journal_trouble(str(tmp_path)) or "not installed" in (
        journal_trouble(str(tmp_path))
    )


async def test_a_journal_that_is_not_there_is_waited_for(tmp_path: Path) -> None:
    source = Journal((OURS,), str(tmp_path)).open(no_stamp, time.time)
    async with reading(source) as reader:
        await reader.until(lambda: bool(source.state().detail))
    assert source.state().state == "waiting"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Journald]:
    with journald(tmp_path_factory.mktemp("journal") / "run") as running:
        yield running


@asynccontextmanager
async def following(
    server: Journald, resume: Position | None = None, since: float | None = None
) -> AsyncIterator[Reader]:
    source = Journal((OURS,), server.directory).open(no_stamp, lambda: CLOCK)
    async with reading(source, resume, time.time() if since is None else since) as reader:
        yield reader


def messages(data: bytes) -> list[bytes]:
    return [line.partition(b"]: ")[2] for line in data.splitlines()]


@needs_journald
async def test_entries_are_yielded_as_they_are_written(server: Journald) -> None:
    async with following(server) as reader:
        await reader.until(lambda: reader.source.state().state == "ok")
        server.write(b"Failed password\nfor root")
        await reader.until(lambda: bool(reader.blocks))
    assert messages(reader.live) == [b"Failed password#012for root"]
    assert b" sshd[%d]: " % os.getpid() in reader.data


@needs_journald
async def test_another_user_cannot_write_for_a_service(server: Journald) -> None:
    async with following(server) as reader:
        server.write_as(65534, "forged")
        server.write(b"genuine")
        await reader.until(lambda: bool(reader.blocks))
    assert messages(reader.data) == [b"genuine"]


@needs_journald
async def test_a_later_life_marks_what_was_read_and_misses_nothing(server: Journald) -> None:
    since = time.time()
    for number in range(3):
        server.write(b"%d" % number)
    server.settle(b"2")
    async with following(server, since=since) as reader:
        await reader.until(lambda: len(messages(reader.data)) == 3)
        assert not reader.live
        assert not reader.again
        position = reader.source.position()
    server.write(b"3")
    async with following(server, position, since) as reader:
        server.write(b"4")
        await reader.until(lambda: len(messages(reader.data)) == 5)
    assert messages(reader.again) == [b"0", b"1", b"2"]
    assert messages(reader.data) == [b"0", b"1", b"2", b"3", b"4"]


@needs_journald
async def test_missed_entries_are_read_though_older_than_asked_for(server: Journald) -> None:
    since = time.time()
    server.write(b"before")
    async with following(server, since=since) as reader:
        await reader.until(lambda: len(messages(reader.data)) == 1)
        position = reader.source.position()
    server.write(b"missed")
    async with following(server, position, time.time() + 5) as reader:
        await reader.until(lambda: bool(reader.blocks))
    assert messages(reader.data) == [b"missed"]
    assert not reader.again


@needs_journald
async def test_rotation_leaves_no_gap(server: Journald) -> None:
    async with following(server) as reader:
        await reader.until(lambda: reader.source.state().state == "ok")
        for number in range(3):
            server.write(b"%d before" % number)
            await asyncio.to_thread(server.rotate)
            server.write(b"%d after" % number)
        await reader.until(lambda: len(messages(reader.data)) >= 6)
        position = reader.source.position()
    assert messages(reader.data) == [
        b"%d %s" % (number, word) for number in range(3) for word in (b"before", b"after")
    ]
    server.write(b"while away")
    await asyncio.to_thread(server.rotate)
    server.write(b"and after")
    async with following(server, position, time.time() + 5) as reader:
        await reader.until(lambda: len(messages(reader.data)) >= 2)
    assert messages(reader.data) == [b"while away", b"and after"]


@needs_journald
async def test_a_lost_cursor_leaves_no_gap(server: Journald) -> None:
    since = time.time()
    server.write(b"taken")
    async with following(server, since=since) as reader:
        await reader.until(lambda: bool(reader.blocks))
        position = reader.source.position()
    await asyncio.to_thread(server.rotate)
    await asyncio.to_thread(server.vacuum)
    server.write(b"first")
    server.write(b"second")
    async with following(server, position, time.time() + 5) as reader:
        await reader.until(lambda: len(messages(reader.data)) >= 2)
    assert messages(reader.data) == [b"first", b"second"]


@needs_journald
async def test_a_cursor_that_journalctl_refuses_is_replaced_by_its_time(server: Journald) -> None:
    place = int(time.time() * 1e6)
    server.write(b"after")
    position = Position("journal", json.dumps(["nonsense", place]))
    async with following(server, position, time.time() + 5) as reader:
        await reader.until(lambda: bool(reader.blocks))
    assert messages(reader.data) == [b"after"]


def children() -> list[int]:
    listed = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    return [int(pid) for pid in listed if "journalctl" in Path(f"/proc/{pid}/comm").read_text()]


@needs_journald
async def test_a_child_that_dies_is_started_again_without_gap(server: Journald) -> None:
    async with following(server) as reader:
        for number in range(3):
            server.write(b"%d" % number)
            await reader.lines_counted(number + 1)
            os.kill(children()[0], signal.SIGKILL)
        server.write(b"3")
        await reader.until(lambda: len(messages(reader.data)) >= 4)
    assert messages(reader.data) == [b"0", b"1", b"2", b"3"]
    assert messages(reader.live) == [b"0", b"1", b"2", b"3"]


@needs_journald
async def test_closing_ends_the_child_and_frees_descriptors(server: Journald) -> None:
    before = descriptors()
    async with following(server) as reader:
        server.write(b"one")
        await reader.until(lambda: bool(reader.blocks))
        assert len(children()) == 1
    assert not children()
    assert descriptors() == before
