# The laboratory itself: what the other system tests stand on.
from collections.abc import Iterator
from pathlib import Path

import pytest

from system.lab import SERVER_V4, SERVER_V6, Lab, eventually, laboratory
from system.servers import PASSWORD, guess, guess_often, journal_lines, log_lines, sshd

pytestmark = pytest.mark.root


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with laboratory(tmp_path / "lab") as made:
        yield made


@pytest.mark.parametrize("logging", ["traditional", "rfc3339"])
def test_a_guesser_meets_a_real_sshd_and_leaves_lines_in_the_log(lab: Lab, logging: str) -> None:
    attacker = lab.guest("attacker", ("203.0.113.13",), ("2001:db8:bad::13",))
    with sshd(lab, "traditional" if logging == "traditional" else "rfc3339") as server:
        assert attacker.reaches(SERVER_V4) == attacker.reaches(SERVER_V6) == "connected"
        guess_often(attacker, SERVER_V4, 3)
        guess_often(attacker, SERVER_V6, 2)
        assert guess(attacker, SERVER_V4, password=PASSWORD) == 0
        failed = "Failed password for alice from "
        eventually(lambda: log_lines(server, f"{failed}203.0.113.13 port") == 3, "three lines")
        eventually(lambda: log_lines(server, f"{failed}2001:db8:bad::13 port") == 2, "two lines")


def test_the_journal_takes_sshd_lines(lab: Lab) -> None:
    attacker = lab.guest("attacker", ("203.0.113.13",), ("2001:db8:bad::13",))
    with sshd(lab, "journal") as server:
        guess_often(attacker, SERVER_V4, 2)
        eventually(lambda: journal_lines(server, "Failed password for alice") == 2, "two entries")
