# `pyfilter doctor`: says what is wrong with a machine, and how to mend it.
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyfilter import settings, sources
from pyfilter.cli import checkup
from pyfilter.cli.checkup import Finding, logs, running, sshd
from pyfilter.cli.screens import called
from pyfilter.control.answers import SourceRow
from pyfilter.control.client import Client
from small_office import SmallOffice, served


def configured(folder: Path, text: str) -> settings.Settings:
    file = folder / "pyfilter.toml"
    file.write_text(text)
    return settings.load(file)


def of_log(folder: Path, line: str) -> Finding:
    log = folder / "auth.log"
    log.write_text(line)
    (finding,) = logs(configured(folder, f'[rules.sshd]\nlogpath = "{log}"\n'))
    return finding


def test_a_log_that_can_be_read_is_good(tmp_path: Path) -> None:
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime())
    assert of_log(tmp_path, f"{stamp} web01 sshd[1]: x\n").level == "good"


def test_a_log_in_a_wrong_zone_is_bad(tmp_path: Path) -> None:
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(time.time() - 7200))
    finding = of_log(tmp_path, f"{stamp} web01 sshd[1]: x\n")
    assert finding.level == "bad"
    assert "-2.0 h" in finding.text


def test_a_log_that_is_not_there_is_bad(tmp_path: Path) -> None:
    (finding,) = logs(configured(tmp_path, f'[rules.sshd]\nlogpath = "{tmp_path}/none.log"\n'))
    assert finding.level == "bad"
    assert "none.log" in finding.text


def test_a_folder_in_place_of_a_log_is_bad(tmp_path: Path) -> None:
    findings = list(logs(configured(tmp_path, f'[rules.sshd]\nlogpath = "{tmp_path}"\n')))
    assert [one.level for one in findings] == ["bad"]


def test_a_configuration_without_rules_is_bad(tmp_path: Path) -> None:
    (finding,) = logs(configured(tmp_path, ""))
    assert "no rule is on" in finding.text


@pytest.mark.parametrize(("level", "verdict"), [("INFO", "good"), ("QUIET", "bad")])
def test_sshd_must_log_its_failures(
    tmp_path: Path, level: str, verdict: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "sshd"
    program.write_text(f"#!/bin/sh\necho port 22\necho loglevel {level}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    (finding,) = sshd(configured(tmp_path, "[rules.sshd]\n"))
    assert finding.level == verdict


def test_a_program_that_is_missing_says_nothing() -> None:
    assert checkup.said_by("no-such-program-here") is None
    assert checkup.said_by("false") is None


@pytest.fixture
def socket(tmp_path: Path) -> Iterator[Path]:
    with served(SmallOffice(), tmp_path / "run") as place:
        yield place


def test_the_daemon_examines_its_own_rules(socket: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSH_CONNECTION", "203.0.113.7 50000 198.51.100.2 22")
    findings = {(one.of, one.level) for one in running(lambda: Client(socket))}
    assert {("daemon", "good"), ("rules", "bad"), ("you", "note")} <= findings


def test_without_a_daemon_that_is_said(tmp_path: Path) -> None:
    (finding,) = running(lambda: Client(tmp_path / "none.sock"))
    assert (finding.of, finding.level) == ("daemon", "bad")
    assert "not running" in finding.text


def test_a_log_that_only_its_service_writes_is_not_looked_for_in_the_journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkup, "journal_trouble", lambda: "")
    absent = sources.Usual((f"{tmp_path}/a.log", f"{tmp_path}/b.log"))
    finding = checkup._absent("rule apache", absent)
    assert (finding.level, finding.text) == (
        "bad",
        f"none of {tmp_path}/a.log {tmp_path}/b.log is there",
    )
    assert "journal" not in finding.mend
    with_journal = sources.Usual(absent.paths, ("_SYSTEMD_UNIT=ssh.service",))
    assert checkup._absent("rule sshd", with_journal).level == "good"


def test_what_our_own_look_explains_the_daemon_does_not_say_again() -> None:
    said = Finding("rule sshd", "bad", "usual log of sshd is waiting")
    other = Finding("rule mine", "bad", "/var/log/mine.log is denied: may not read")
    own = Finding("rule sshd", "bad", "/var/log/auth.log is not there", "set logpath")
    good = Finding("rule sshd", "good", "readable")
    assert checkup.distinct([said, other, own, good]) == [other, own, good]


@pytest.mark.parametrize(
    ("name", "short"),
    [
        ("/var/log/a.log /var/log/b.log or journal _SYSTEMD_UNIT=a.service", "usual log of a, b"),
        ("/var/log/a.log or journal", "usual log of a, b"),
        ("journal _SYSTEMD_UNIT=a.service", "journal of a, b"),
        ("/var/log/a.log /var/log/b.log /var/log/c.log", "/var/log/a.log and 2 more"),
        ("/var/log/a.log", "/var/log/a.log"),
        ("-", "-"),
    ],
)
def test_a_source_has_a_short_name(name: str, short: str) -> None:
    assert called(SourceRow(name, "ok", "", 0, None, 0, ["a", "b"])) == short
