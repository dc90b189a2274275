# blacklist/pair.py and file.py: edits by hand, found and never lost.
import asyncio
import os
from pathlib import Path

import pytest

from pyfilter.addresses import Network, network
from pyfilter.blacklist import Blacklist, Edits
from pyfilter.model import Ban

A, B, C, D = (network(f"192.0.2.{last}") for last in range(1, 5))
SIX = network("2001:db8::/64")


class Place:
    def __init__(self, folder: Path) -> None:
        self.folder, self.now = folder, 1_000_000.0
        self.state = folder / "state"
        self.state.mkdir()
        self.v4, self.v6 = folder / "blacklist.v4", folder / "blacklist.v6"

    def open(self) -> Blacklist:
        return Blacklist(str(self.v4), str(self.v6), "drop", str(self.state), lambda: self.now)

    def remove(self, subject: Network) -> None:
        lines = self.v4.read_text().splitlines(keepends=True)
        self.v4.write_text("".join(line for line in lines if f" {subject}/" not in line))

    def add(self, text: str) -> None:
        line = f"-A INPUT -s {text} -j DROP\nCOMMIT"
        self.v4.write_text(self.v4.read_text().replace("COMMIT", line))

    def listed(self) -> list[str]:
        return [line.split()[3] for line in self.v4.read_text().splitlines() if line[0] == "-"]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def bans(*subjects: Network) -> list[Ban]:
    return [Ban(subject, 0.0, None, "") for subject in subjects]


def test_both_files_list_the_bans_of_their_version(place: Place) -> None:
    assert place.open().write(bans(A, SIX))
    assert place.listed() == ["192.0.2.1/32"]
    assert "-A INPUT -s 2001:db8::/64 -j DROP\n" in place.v6.read_text()


def test_our_own_writing_is_no_edit(place: Place) -> None:
    blacklist = place.open()
    blacklist.write(bans(A, B))
    blacklist.write(bans(A))
    assert blacklist.edits() == Edits()
    assert place.open().edits() == Edits()


def test_a_file_that_says_it_already_is_not_written_again(place: Place) -> None:
    blacklist = place.open()
    blacklist.write(bans(A, B))
    before = place.v4.stat().st_ino
    assert blacklist.write(bans(B, A))
    assert place.open().write(bans(A, B))
    assert place.v4.stat().st_ino == before


def test_an_edit_is_told_once(place: Place) -> None:
    blacklist = place.open()
    blacklist.write(bans(A, B))
    place.remove(A)
    place.add("198.51.100.0/24")
    assert blacklist.edits() == Edits(frozenset({A}), frozenset({network("198.51.100.0/24")}))
    assert blacklist.edits() == Edits()


@pytest.mark.parametrize("applied", [True, False])
def test_an_edit_while_nobody_watched_is_found_at_the_next_start(
    place: Place, *, applied: bool
) -> None:
    place.open().write(bans(A, B))
    place.remove(A)
    restarted = place.open()
    assert restarted.edits().removed == {A}
    if applied:
        restarted.write(bans(B))
    assert place.open().edits().removed == (set() if applied else {A})


def test_nothing_is_written_over_an_edit_nobody_has_looked_at(place: Place) -> None:
    blacklist = place.open()
    blacklist.write(bans(A, B))
    place.remove(A)
    assert not blacklist.write(bans(A, B, C))
    assert blacklist.edits().removed == {A}
    assert blacklist.write(bans(B, C))
    assert place.listed() == ["192.0.2.2/32", "192.0.2.3/32"]


def test_an_editor_that_was_opened_before_we_wrote_undoes_nothing(place: Place) -> None:
    blacklist = place.open()
    blacklist.write(bans(A, B))
    opened = place.v4.read_text()
    blacklist.write(bans(A, B, C))
    blacklist.write(bans(B, C, D))
    place.v4.write_text(opened.replace("-A INPUT -s 192.0.2.2/32 -j DROP\n", ""))
    assert blacklist.edits() == Edits(removed=frozenset({B}))
    assert blacklist.write(bans(C, D))
    assert place.listed() == ["192.0.2.3/32", "192.0.2.4/32"]
    assert blacklist.edits() == Edits()


def test_an_editor_that_was_opened_before_a_restart_is_refused(place: Place) -> None:
    first = place.open()
    first.write(bans(A))
    opened = place.v4.read_text()
    first.write(bans(A, B))
    place.v4.write_text(opened)
    restarted = place.open()
    assert restarted.edits() == Edits()
    assert restarted.troubles() == [
        f"{place.v4}: line 1: was opened too long ago; open it again and edit that"
    ]


def test_a_line_added_for_what_is_refused_vanishes_again(place: Place) -> None:
    blacklist = place.open()
    blacklist.write(bans(A))
    place.add("127.0.0.1/32")
    assert blacklist.edits().added == {network("127.0.0.1")}
    blacklist.write(bans(A))
    assert place.listed() == ["192.0.2.1/32"]


def test_a_half_written_file_changes_nothing_and_is_waited_for(place: Place) -> None:
    blacklist = place.open()
    blacklist.write(bans(A, B))
    whole = place.v4.read_text()
    place.v4.write_text(whole[: whole.index("-A INPUT -s 192.0.2.2")])
    assert blacklist.edits() == Edits()
    assert blacklist.troubles() == [f"{place.v4}: line 7: the file ends without COMMIT"]
    assert not blacklist.write(bans(A, B, C))
    place.v4.write_text(whole)
    assert blacklist.edits() == Edits()
    assert blacklist.write(bans(A, B, C))
    assert blacklist.troubles() == []


def test_a_file_broken_for_long_is_laid_aside(place: Place) -> None:
    blacklist = place.open()
    blacklist.write(bans(A))
    place.v4.write_text("my notes\n")
    assert not blacklist.write(bans(A, B))
    place.now += 11
    assert blacklist.write(bans(A, B))
    assert place.listed() == ["192.0.2.1/32", "192.0.2.2/32"]
    assert (place.folder / "blacklist.v4.broken").read_text() == "my notes\n"


def test_a_file_taken_away_is_no_edit_and_comes_back(place: Place) -> None:
    blacklist = place.open()
    blacklist.write(bans(A))
    place.v4.unlink()
    assert blacklist.edits() == Edits()
    assert blacklist.write(bans(A))
    assert place.listed() == ["192.0.2.1/32"]


def test_the_lines_of_a_file_of_the_original_are_bans(place: Place) -> None:
    place.v4.write_text("*filter\n-A INPUT -s 192.0.2.1/32 -j DROP\nCOMMIT\n")
    assert place.open().edits() == Edits(added=frozenset({A}))


def test_mode_and_owner_are_kept(place: Place) -> None:
    blacklist = place.open()
    blacklist.write(bans(A))
    place.v4.chmod(0o640)
    if os.geteuid() == 0:
        os.chown(place.v4, 12, 34)
    before = place.v4.stat()
    blacklist.write(bans(A, B))
    after = place.v4.stat()
    assert (after.st_mode, after.st_uid, after.st_gid) == (
        before.st_mode,
        before.st_uid,
        before.st_gid,
    )


def test_a_folder_that_is_gone_is_a_trouble_and_no_more(place: Place) -> None:
    blacklist = Blacklist("/nonexistent/blacklist.v4", "", "drop", str(place.state))
    assert not blacklist.write(bans(A))
    assert "cannot be written: No such file or directory" in blacklist.troubles()[0]


@pytest.mark.parametrize("by_rename", [False, True])
async def test_a_save_is_noticed_whichever_way_the_editor_saves(
    place: Place, *, by_rename: bool
) -> None:
    blacklist = place.open()
    blacklist.write(bans(A))
    looks = blacklist.watch()
    look = asyncio.ensure_future(anext(looks))
    await asyncio.sleep(0)
    if by_rename:
        new = place.folder / ".blacklist.v4.swp"
        new.write_text(place.v4.read_text().replace("192.0.2.1/32", "192.0.2.2/32"))
        new.replace(place.v4)
    else:
        place.v4.write_text(place.v4.read_text().replace("192.0.2.1/32", "192.0.2.2/32"))
    await asyncio.wait_for(look, 10)
    assert blacklist.edits() == Edits(frozenset({A}), frozenset({B}))
    await looks.aclose()  # type: ignore[attr-defined]


async def test_where_there_is_no_watch_there_is_a_look_each_second() -> None:
    blacklist = Blacklist("/nonexistent/blacklist.v4", "", "drop", "/nonexistent")
    async for _ in blacklist.watch():
        break
    assert "No such file" in blacklist.blind
