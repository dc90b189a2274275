# A newer server: Debian 13 with OpenSSH 10, three processes a connection, and no log file at all.
import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from pyfilter.sources.journalctl import match_arguments
from system.container import TRIXIE, Debian, clone_into
from system.lab import SERVER_V4, Host, Lab, eventually, laboratory, need
from system.servers import guess_often

pytestmark = [pytest.mark.root, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    need("debootstrap", "systemd-nspawn", "nsenter", "git")

    def house(netns: str, folder: Path, stack: ExitStack) -> Host:
        machine = Debian(netns, folder, stack, TRIXIE)
        clone_into(machine.root / "usr/local/PyFilter")
        return machine.switch_on()

    with laboratory(tmp_path_factory.mktemp("trixie") / "lab", house) as made:
        yield made


def test_openssh_10_is_guarded_through_the_journal(lab: Lab) -> None:
    lab.server.run("/usr/local/PyFilter/install.sh", timeout=120)
    attacker = lab.guest("attacker", ("203.0.113.13",), ("2001:db8:bad::13",))
    friend = lab.guest("friend", ("198.51.100.7",), ("2001:db8:f::7",))
    assert attacker.reaches(SERVER_V4) == "connected"
    guess_often(attacker, SERVER_V4, 6)
    eventually(lambda: attacker.reaches(SERVER_V4, 0.5) == "silence", "it is shut out", within=5)
    assert friend.reaches(SERVER_V4) == "connected"
    bans = json.loads(lab.server.run("pyfilter", "bans", "-o", "json"))
    assert [(ban["address"], ban["in_kernel"]) for ban in bans] == [("203.0.113.13", True)]


def test_the_lines_come_from_the_new_processes(lab: Lab) -> None:
    told = lab.server.run("pyfilter", "why", "203.0.113.13")
    assert "203.0.113.13" in told
    assert lab.server.run("journalctl", "--no-pager", "-q", "_COMM=sshd-session") != ""


def test_a_service_that_is_not_root_is_found_by_its_unit_alone(lab: Lab) -> None:
    # The journal looks up whose a message is when it reads it: a sender that is gone has no unit.
    said = "{ echo by syslog; sleep 2; } | logger; echo by stdout"
    lab.server.run("systemd-run", "--wait", "--unit=door", "--uid=nobody", "sh", "-c", said)
    lab.server.run("journalctl", "--sync")
    ask = ["journalctl", "--no-pager", "-q", "-ocat"]

    def found(*matches: str) -> set[str]:
        told = lab.server.run(*ask, *match_arguments(matches)).splitlines()
        return {line for line in told if line.startswith("by ")}

    assert found("_SYSTEMD_UNIT=door.service _UID=*") == {"by stdout", "by syslog"}
    assert found("_SYSTEMD_UNIT=door.service") == set()
