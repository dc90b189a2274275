# What people and programs see of the commands, held against files.
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyfilter.cli import main
from pyfilter.control import overview
from pyfilter.model import SourceState
from small_office import NOW, SmallOffice, served

FOLDER = Path(__file__).parent / "cli"


@pytest.fixture
def office() -> SmallOffice:
    """Return an office in which a morning's worth has happened."""
    office = SmallOffice()
    office.ban("203.0.113.13")
    office.time = NOW + 60
    office.ban("198.51.100.0/24", None, "db01")
    office.ban("2001:db8:1:2::/64")
    office.time = NOW + 120
    office.lift("2001:db8:1:2::/64")
    office.fail("192.0.2.77", 2, user="oper\\ator\x1b[2J")
    late = SourceState("journal", "denied", "may not read: join group systemd-journal", 0, None, 7)
    office.sources["journal"] = type(office.sources["/var/log/auth.log"])(late)
    return office


@pytest.fixture(autouse=True)
def surroundings(
    office: SmallOffice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    monkeypatch.setattr(os, "getpid", lambda: 4711)
    monkeypatch.setattr(overview, "_resident", lambda: 38_000_000)
    with served(office, tmp_path / "run") as socket:
        monkeypatch.setenv("PYFILTER_SOCKET", str(socket))
        yield
    monkeypatch.undo()
    time.tzset()


CASES = {
    "status.txt": ["status"],
    "status.json": ["status", "-o", "json"],
    "bans.txt": ["bans"],
    "bans.json": ["-o", "json", "bans"],
    "bans.jsonl": ["-o", "jsonl", "bans"],
    "bans_of_rule.json": ["bans", "--rule", "nginx", "-o", "json"],
    "history.txt": ["bans", "--history"],
    "history.json": ["bans", "--history", "-o", "json"],
    "why_banned.txt": ["why", "203.0.113.13"],
    "why_banned.json": ["why", "203.0.113.13", "-o", "json"],
    "why_not.txt": ["why", "192.0.2.77"],
    "why_protected.txt": ["why", "127.0.0.1"],
    "ban.txt": ["ban", "192.0.2.1", "192.0.2.128/25", "--for", "1d 12h"],
    "ban.json": ["ban", "192.0.2.1", "--for", "-1", "-o", "json"],
    "unban.txt": ["unban", "203.0.113.13", "198.51.100.0/24"],
    "allow_add.txt": ["allow", "add", "203.0.113.0/24", "--for", "7d", "--note", "the office"],
    "allow_list.json": ["allow", "list", "-o", "json"],
    "reload.txt": ["reload"],
}


@pytest.mark.parametrize("name", CASES)
def test_the_output_is_as_in_the_file(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(CASES[name])
    found = capsys.readouterr()
    file = FOLDER / name
    if os.environ.get("PYFILTER_WRITE_GOLDEN"):
        file.write_text(found.out)
    assert found.out == file.read_text()
    assert (end.value.code, found.err) == (0, "")
