# pyfilter match, explain, rules, geo: what needs no daemon.
import gzip
import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from pyfilter.cli import main
from pyfilter.cli.trial import Trial
from pyfilter.matching.rule import Pattern, Rule
from pyfilter.model import Limits
from pyfilter.settings.tree import RuleSettings

LOG = b"""\
Nov 23 05:00:01 web01 sshd[100]: Failed password for root from 203.0.113.9 port 1001 ssh2
Nov 23 05:00:02 web01 sshd[101]: Accepted password for oper from 203.0.113.10 port 1002 ssh2
Nov 23 05:00:03 web01 CRON[102]: pam_unix(cron:session): session opened for user root
Nov 23 05:00:04 web01 sshd[103]: Failed password for x from 1.2.3.4 from 203.0.113.9 port 1003 ssh2
"""


@pytest.fixture(autouse=True)
def no_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "pyfilter.toml"
    file.write_text(
        """
        [rules.sshd]
        maxretry = 2
        [rules.mine]
        logpath = "/var/log/mine.log"
        pattern = ['^<time> login failed for <user> from <host>$', '^no time from <ip>$']
        maxretry = 2
        """
    )
    monkeypatch.setenv("PYFILTER_CONFIG", str(file))


@pytest.fixture
def log(tmp_path: Path) -> Path:
    file = tmp_path / "auth.log"
    file.write_bytes(LOG)
    return file


def ran(*arguments: str) -> int:
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert isinstance(end.value.code, int)
    return end.value.code


def objects(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_each_line_has_its_object(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ran("match", "--rule", "sshd", "--json", str(log)) == 0
    found = objects(capsys.readouterr().out)
    nothing = {"matched": False, "rule": None, "ip": None, "time": None, "user": None, "ban": False}
    assert [list(one) for one in found] == [
        ["line", "matched", "rule", "ip", "time", "user", "ban"]
    ] * 4
    assert found[1:3] == [{"line": 2, **nothing}, {"line": 3, **nothing}]
    assert [(one["ip"], one["user"], one["ban"]) for one in (found[0], found[3])] == [
        ("203.0.113.9", "root", False),
        ("203.0.113.9", "x from 1.2.3.4", True),
    ]
    assert found[0]["time"][4:19] == "-11-23T05:00:01"


@pytest.mark.parametrize("name", ["-", "auth.log.gz"])
def test_standard_input_and_packed_logs_are_read(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    packed = tmp_path / "auth.log.gz"
    packed.write_bytes(gzip.compress(LOG))
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(LOG)))
    assert ran("match", "--rule", "sshd", name if name == "-" else str(packed)) == 0
    assert capsys.readouterr().out.endswith("2 of 4 lines matched rule sshd, 1 ban\n")


def test_the_last_line_needs_no_newline(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log.write_bytes(LOG.removesuffix(b"\n"))
    assert ran("match", "--rule", "sshd", "--json", str(log)) == 0
    assert objects(capsys.readouterr().out)[3]["matched"]


def test_lines_without_a_time_count_in_sequence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "mine.log"
    log.write_text("no time from 203.0.113.9\nno time from 203.0.113.9\nno time from 2001:db8::1\n")
    assert ran("match", "--rule", "mine", "--json", str(log)) == 0
    found = objects(capsys.readouterr().out)
    assert [(one["time"], one["ban"]) for one in found] == [
        (None, False),
        (None, True),
        (None, False),
    ]
    assert found[2]["ip"] == "2001:db8::1"


def test_a_name_in_place_of_the_address_matches_without_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "mine.log"
    log.write_text("2026-11-23T05:00:00Z login failed for root from example.net\n")
    assert ran("match", "--rule", "mine", "--json", str(log)) == 0
    [found] = objects(capsys.readouterr().out)
    assert (found["matched"], found["ip"], found["ban"]) == (True, None, False)


def test_hostile_bytes_are_lines_like_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "mine.log"
    long = b"x" * 200_000
    stamp = b"2026-11-23T05:00:00Z login failed for "
    log.write_bytes(
        b"\x00\xff\n\n" + long + b"\n" + stamp + b"\xff\x1b[2J\xe2\x80\xae from 203.0.113.9\r\n"
    )
    assert ran("match", "--rule", "mine", "--json", str(log)) == 0
    found = objects(capsys.readouterr().out)
    assert [one["matched"] for one in found] == [False, False, False, True]
    assert ran("match", "--rule", "mine", str(log)) == 0
    assert "user \\xff\\x1b[2J\\u202e" in capsys.readouterr().out


def test_all_forms_of_output_say_the_same(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ran("match", "--rule", "sshd", "--json", str(log)) == 0
    lines = objects(capsys.readouterr().out)
    assert ran("match", "--rule", "sshd", "-o", "json", str(log)) == 0
    assert json.loads(capsys.readouterr().out) == lines
    assert ran("-o", "jsonl", "match", "--rule", "sshd", str(log)) == 0
    assert objects(capsys.readouterr().out) == lines


def test_a_rule_that_is_not_on_is_the_librarys(
    log: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    other = tmp_path / "other.toml"
    other.write_text("[defaults]\nmaxretry = 1\n")
    monkeypatch.setenv("PYFILTER_CONFIG", str(other))
    assert ran("match", "--rule", "sshd", "--json", str(log)) == 0
    assert objects(capsys.readouterr().out)[0]["ban"]


def test_a_rule_in_a_file_can_be_tried(
    log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rule = tmp_path / "trial.toml"
    rule.write_text('tags = ["CRON"]\nformat = "syslog"\n[[patterns]]\nmatch = "^<*> user <ip>$"\n')
    assert ran("match", "--rule", str(rule), str(log)) == 1
    assert "no line of 4 matched" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["match", "--rule", "sshdd", "-"], 2, 'did you mean "sshd"?'),
        (["match", "--rule", "sshd", "/nowhere"], 2, "No such file"),
        (["match", "--rule", "sshd", "/"], 2, "Is a directory"),
        (["match", "-"], 2, "Missing option '--rule'"),
        (["rules", "show", "sshdd"], 2, "did you mean"),
        (["rules", "test", "none.toml"], 2, "there is no such file"),
        (["explain", "nothing at all"], 1, "docs/rules.md"),
        (["geo", "example.net"], 2, "write it like"),
    ],
)
def test_a_failure_says_what_to_do(
    arguments: list[str], code: int, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ran(*arguments) == code
    found = capsys.readouterr().err
    assert text in found
    assert found.count("\n") == 1


def test_explain_shows_what_matched(capsys: pytest.CaptureFixture[str]) -> None:
    assert ran("explain", LOG.decode().splitlines()[0]) == 0
    found = capsys.readouterr().out
    assert "matched" in found
    assert "address   203.0.113.9" in found
    assert "policy    2 in 10m ban for 1h" in found


def test_a_line_that_means_little_by_itself_is_said_to(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = '203.0.113.9 - - [23/Nov/2026:05:00:01 +0000] "GET /favicon.ico HTTP/1.1" 404 9 "-" "-"'
    log = tmp_path / "access.log"
    log.write_text(f"{line}\n")
    assert ran("match", "--rule", "web", str(log)) == 0
    assert "203.0.113.9, counts 0.02 of a failure" in capsys.readouterr().out
    config = tmp_path / "web.toml"
    config.write_text('[rules.web]\nlogpath = "/var/log/access.log"\nmaxretry = 5\n')
    assert ran("-c", str(config), "explain", line) == 0
    out = capsys.readouterr().out
    assert "counts 0.02 of a failure" in out
    assert "5 in 10m ban for 1h, 250 lines such as this" in out


def test_explain_shows_where_a_near_miss_misses(capsys: pytest.CaptureFixture[str]) -> None:
    line = "Nov 23 05:00:01 web01 sshd[1]: Failed password fr root from 203.0.113.9 port 1 ssh2"
    assert ran("explain", "-o", "json", line) == 1
    [near] = [one for one in json.loads(capsys.readouterr().out)["rules"] if one["stage"] == "near"]
    assert near["rule"] == "sshd"
    assert near["reason"].startswith("expected or ")
    assert near["reason"].endswith("at: r root from 203.0.113.9 port 1 ssh2")


def test_explain_knows_an_ignored_line_and_a_kind_that_is_off(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert ran("explain", LOG.decode().splitlines()[1]) == 0
    assert "no failure: knowledge of a login" in capsys.readouterr().out


def test_the_library_is_listed_shown_and_tested(capsys: pytest.CaptureFixture[str]) -> None:
    assert ran("rules", "list", "-o", "json") == 0
    listed = {one["name"]: one for one in json.loads(capsys.readouterr().out)}
    assert listed["sshd"]["on"]
    assert "sshd" in listed["sshd"]["fail2ban"]
    assert listed["mine"]["on"]
    assert ran("rules", "show", "sshd") == 0
    assert "[[patterns]]" in capsys.readouterr().out
    assert ran("rules", "show", "mine") == 0
    assert "login failed" in capsys.readouterr().out
    assert ran("rules", "test", "sshd") == 0
    assert capsys.readouterr().out.startswith("ok    sshd: ")


def test_a_failing_sample_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rule = tmp_path / "wrong.toml"
    rule.write_text(
        '[[patterns]]\nmatch = "^bad <ip>$"\n[[samples]]\nline = "bad 1.2.3.4"\nip = "1.2.3.5"\n'
    )
    assert ran("rules", "test", str(rule)) == 1
    found = capsys.readouterr()
    assert "ip is '1.2.3.4', must be '1.2.3.5'" in found.out
    assert "samples of wrong fail" in found.err


def test_a_country_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert ran("geo", "192.0.2.1") == 0
    assert capsys.readouterr().out == "192.0.2.1: unknown\n"
    assert ran("geo", "193.0.6.139", "-o", "json") == 0
    assert json.loads(capsys.readouterr().out) == {
        "address": "193.0.6.139",
        "country": "NL",
        "name": "Netherlands",
    }


def failing(at: int) -> bytes:
    return f"{at} bad 203.0.113.9".encode()


@pytest.fixture
def trial() -> Trial:
    rule = Rule("mine", patterns=(Pattern("^<time> bad <ip>$"), Pattern("^ok <ip>$", weight=0)))
    return Trial(
        RuleSettings(rule, Limits(maxretry=2, findtime=60, bantime=100)), ("192.0.2.0/24",)
    )


def test_who_is_banned_is_not_banned_again_until_it_ends(trial: Trial) -> None:
    start = 1_795_413_600
    found = [trial.judge(failing(start + at)).ban for at in (0, 1, 2, 3, 99, 200, 201)]
    assert [ban is not None for ban in found] == [False, True, False, False, False, False, True]
    assert found[6] is not None
    assert found[6].strike == 2


def test_who_is_allowed_is_never_banned(trial: Trial) -> None:
    assert not any(trial.judge(b"1795413600 bad 192.0.2.7").ban for _ in range(9))


def test_a_login_is_no_match(trial: Trial) -> None:
    assert not trial.judge(b"ok 203.0.113.9").matched


@pytest.mark.parametrize("name", ["mysqld-auth", "crowdsecurity/mysql"])
def test_a_rule_is_found_by_what_others_call_it(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "mysql.log"
    log.write_text("Access denied for user 'root'@'203.0.113.13' (using password: YES)\n")
    with pytest.raises(SystemExit):
        main(["match", "--rule", name, "--json", str(log)])
    assert '"rule":"mysql"' in capsys.readouterr().out
