# The commands' exit codes, and the one line that each failure leaves on stderr.
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import pyfilter
from pyfilter.addresses import Network
from pyfilter.cli import commands, main
from pyfilter.cli.context import Globals
from pyfilter.control.place import Place
from pyfilter.ledger import Memory
from pyfilter.model import Release, SourceState
from small_office import SmallOffice, SmallSource, served


@pytest.fixture
def office() -> SmallOffice:
    office = SmallOffice()
    office.ban("203.0.113.13")
    office.ban("198.51.100.0/24")
    return office


@pytest.fixture
def daemon(
    office: SmallOffice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[SmallOffice]:
    with served(office, tmp_path / "run") as socket:
        monkeypatch.setenv("PYFILTER_SOCKET", str(socket))
        yield office


def python(code: str, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Run code in a process of its own, with what is loaded only by it."""
    source = str(Path(pyfilter.__file__).parents[1])
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": source, **more},
    )


def ran(*arguments: str) -> int:
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert isinstance(end.value.code, int)
    return end.value.code


REFUSED = {
    "protected": (["ban", "127.0.0.1"], 1, "127.0.0.1: protected: an address that no peer"),
    "too wide": (["ban", "10.0.0.0/7"], 1, "need --force"),
    "not banned": (["unban", "192.0.2.9"], 1, "192.0.2.9: not banned"),
    "covered": (["unban", "198.51.100.9"], 1, "`pyfilter unban 198.51.100.0/24` lifts that"),
    "not allowed": (["allow", "remove", "192.0.2.9"], 1, "not on the allowlist"),
    "rule is off": (["status", "nginx"], 1, "on are: sshd"),
    "no address": (["ban", "010.0.0.1"], 2, "write it like 203.0.113.7"),
    "no address to ask for": (["why", "example.net"], 2, "write it like"),
    "no entry": (["allow", "add", "999.1.1.1"], 2, "is no IP address"),
    "no duration": (["ban", "192.0.2.1", "--for", "5x"], 2, "is no duration"),
    "no time": (["ban", "192.0.2.1", "--for", "0"], 1, "give 1s to 100 years"),
    "an age": (["allow", "add", "192.0.2.1", "--for", "99999999d"], 1, "or -1 for ever"),
    "no arguments": (["ban"], 2, "Missing argument"),
    "nothing to unban": (["unban"], 2, "name addresses, or --all"),
    "both scopes": (["unban", "--all", "192.0.2.1"], 2, "name addresses, or --all"),
    "no command": (["bansn"], 2, "No such command"),
    "no option": (["bans", "--histroy"], 2, "Did you mean '--history'?"),
    "half a command": (["allow"], 2, "needs one of: add, list, remove"),
    "no such output": (["-o", "yaml", "bans"], 2, "'human', 'json', 'jsonl'"),
}


@pytest.mark.parametrize("case", REFUSED)
@pytest.mark.usefixtures("daemon")
def test_a_failure_is_one_line_and_a_code(case: str, capsys: pytest.CaptureFixture[str]) -> None:
    arguments, code, text = REFUSED[case]
    assert ran(*arguments) == code
    found = capsys.readouterr()
    assert text in found.err
    assert found.err.startswith("pyfilter: ")
    assert found.err.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["status"],
        ["bans"],
        ["ban", "192.0.2.1"],
        ["unban", "--all"],
        ["why", "192.0.2.1"],
        ["allow", "list"],
        ["reload"],
    ],
)
def test_without_a_daemon_the_code_is_three(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ran("--socket", str(tmp_path / "none.sock"), *arguments) == 3
    assert "start it with" in capsys.readouterr().err


def test_a_socket_of_a_killed_daemon_is_no_daemon(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = Place(tmp_path)
    place.bound().close()
    assert ran("--socket", str(place.socket_path), "status") == 3
    place.close()
    assert "Connection refused" in capsys.readouterr().err


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become somebody else")
def test_without_privilege_the_code_is_four(daemon: SmallOffice, tmp_path: Path) -> None:
    code = (
        "import os, sys; from pyfilter.cli import main;"
        "import pyfilter.control.client, pyfilter.cli.looking;"
        "os.setgid(65534); os.setuid(65534); main(sys.argv[1:])"
    )
    found = python(code, "status")
    assert found.returncode == 4
    assert "sudo" in found.stderr


def test_a_reload_that_fails_leaves_the_old(
    daemon: SmallOffice, capsys: pytest.CaptureFixture[str]
) -> None:
    daemon.broken = "pyfilter.toml:3: unknown key"
    assert ran("reload") == 2
    assert "toml:3: unknown key (the old configuration stays" in capsys.readouterr().err


def test_what_was_done_is_shown_beside_what_was_not(
    daemon: SmallOffice, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ran("ban", "127.0.0.1", "192.0.2.1") == 1
    assert capsys.readouterr().out.startswith("banned 192.0.2.1 until ")
    assert "192.0.2.1" in daemon.enforcer.standing


def test_unban_all_and_then_again(daemon: SmallOffice, capsys: pytest.CaptureFixture[str]) -> None:
    assert ran("unban", "--all") == 0
    assert not daemon.enforcer.standing
    assert ran("unban", "--all") == 0
    assert capsys.readouterr().out.endswith("no bans in force\n")


def test_many_bans_come_in_pages(daemon: SmallOffice, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(4500):
        daemon.time += 0.1
        daemon.ban(f"10.2.{number // 250}.{number % 250}/32")
    assert ran("bans", "-o", "jsonl") == 0
    assert capsys.readouterr().out.count("\n") == 4502
    assert ran("bans", "-o", "jsonl", "--limit", "2100") == 0
    assert capsys.readouterr().out.count("\n") == 2100


def test_the_version_needs_no_configuration(capsys: pytest.CaptureFixture[str]) -> None:
    assert ran("--version") == 0
    assert capsys.readouterr().out == "PyFilter 2.0.0\n"


def test_pyfilter_alone_shows_its_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert ran() == 0
    assert "pyfilter status" in capsys.readouterr().out


def test_every_command_has_a_help(capsys: pytest.CaptureFixture[str]) -> None:
    context = commands.make_context("pyfilter", ["status"], resilient_parsing=True)
    for name in commands.list_commands(context):
        assert ran(name, "--help") == 0
    assert "Usage: pyfilter completion" in capsys.readouterr().out


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_completion_of_each_shell(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert ran("completion", shell) == 0
    assert "_PYFILTER_COMPLETE" in capsys.readouterr().out


def test_status_loads_little(daemon: SmallOffice) -> None:
    code = (
        "import sys, atexit; from pyfilter.cli import main;"
        "atexit.register(lambda: print(sorted({'asyncio', 'hyperscan', 'sqlite3', 'redis', 'rich',"
        "'maxminddb', 'pyfilter.settings', 'pyfilter.matching'} & set(sys.modules))));"
        "main(['status'])"
    )
    found = python(code)
    assert found.stdout.endswith("[]\n")


def test_the_socket_is_where_the_configuration_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYFILTER_SOCKET", raising=False)
    file = tmp_path / "pyfilter.toml"
    file.write_text('runtime_dir = "/run/here"\n[rules.sshdd]\n')
    assert Globals(config=str(file)).socket_path() == Path("/run/here/control.sock")
    (tmp_path / "pyfilter.d").mkdir()
    (tmp_path / "pyfilter.d" / "1.toml").write_text('runtime_dir = "/run/there"\n')
    assert Globals(config=str(file)).socket_path() == Path("/run/there/control.sock")
    assert Globals(config=str(file), socket="/s").socket_path() == Path("/s")
    monkeypatch.setenv("PYFILTER_SOCKET", "/t")
    assert Globals(config=str(file)).socket_path() == Path("/t")


def test_a_configuration_that_is_not_there_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("PYFILTER_SOCKET", raising=False)
    assert ran("-c", str(tmp_path / "none.toml"), "status") == 2
    assert "there is no such configuration file" in capsys.readouterr().err


def test_check_is_silent_when_good_and_says_what_is_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "pyfilter.toml"
    file.write_text("[defaults]\nmaxretry = 4\n")
    assert ran("check", str(file)) == 0
    assert ran("-c", str(file), "check") == 0
    found = capsys.readouterr()
    assert (found.out, found.err) == ("", "")
    file.write_text("[defaults]\nmaxretri = 4\n")
    assert ran("check", str(file)) == 2
    assert 'did you mean "maxretry"' in capsys.readouterr().err


def test_a_terminal_gets_tables_and_colours(
    daemon: SmallOffice, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    for command in (["status"], ["bans"], ["bans", "--history"], ["allow", "list"]):
        assert ran(*command) == 0
    found = capsys.readouterr().out
    assert "─" in found
    assert "203.0.113.13" in found


def test_a_terminal_that_cannot_show_a_letter_gets_an_escape() -> None:
    code = "from pyfilter.cli import main; main(['explain', '\\u0416'])"
    found = python(code, PYTHONIOENCODING="latin-1")
    assert found.returncode == 1
    assert found.stdout.startswith("\\u0416\n")


def test_a_rule_that_reads_nothing_is_pointed_out(
    daemon: SmallOffice, capsys: pytest.CaptureFixture[str]
) -> None:
    daemon.sources.clear()
    assert ran("status") == 0
    assert "rule sshd reads nothing: give it a logpath" in capsys.readouterr().out


def test_of_many_places_the_first_is_shown(
    daemon: SmallOffice, capsys: pytest.CaptureFixture[str]
) -> None:
    name = "/var/log/a /var/log/b /var/log/c or journal _SYSTEMD_UNIT=a.service"
    detail = "waiting for /var/log/a /var/log/b /var/log/c; no journal"
    daemon.sources[name] = SmallSource(SourceState(name, "waiting", detail))
    assert ran("status") == 0
    out = capsys.readouterr().out
    assert "usual log of sshd" in out
    assert "waiting for /var/log/a … (3 places); no journal" in out
    assert ran("status", "-o", "json") == 0
    assert detail in capsys.readouterr().out


def test_a_ledger_in_trouble_makes_the_status_degraded(
    daemon: SmallOffice, capsys: pytest.CaptureFixture[str]
) -> None:
    daemon.ledger = Memory("remembers in memory only, because the disk is full").open()
    assert ran("status", "-o", "json") == 0
    assert json.loads(capsys.readouterr().out)["state"] == "degraded"
    assert ran("status") == 0
    assert "ledger    degraded: remembers in memory only" in capsys.readouterr().out


def test_words_of_the_operator_are_made_visible(daemon: SmallOffice) -> None:
    assert ran("ban", "192.0.2.1", "--reason", "a\nb\x1b[2J" + "x" * 1000) == 0
    reason = daemon.enforcer.standing[Network("192.0.2.1")].reason
    assert reason.startswith("a\\nb\\x1b[2Jxx")
    assert len(reason) == 300


def test_a_ban_is_not_shortened_by_hand(
    daemon: SmallOffice, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ran("ban", "203.0.113.13", "--for", "60") == 1
    assert "for longer: unban it first" in capsys.readouterr().err
    assert ran("ban", "203.0.113.13", "--for", "2d") == 0


@pytest.mark.parametrize(
    ("typed", "offered"),
    [("st", "status"), ("allow ", "add"), ("match --rule ss", "sshd"), ("rules show ss", "sshd")],
)
def test_the_shell_is_offered_commands_and_rules(typed: str, offered: str) -> None:
    words = f"pyfilter {typed}"
    found = python(
        "from pyfilter.cli import main; main()",
        _PYFILTER_COMPLETE="bash_complete",
        COMP_WORDS=words,
        COMP_CWORD=str(len(words.split(" ")) - 1),
    )
    assert f"plain,{offered}" in found.stdout.split()


def test_a_new_fleet_key_is_32_random_bytes_in_hex(capsys: pytest.CaptureFixture[str]) -> None:
    keys = set()
    for _ in range(2):
        assert ran("fleet", "key") == 0
        keys.add(capsys.readouterr().out.strip())
    assert len(keys) == 2
    assert {len(bytes.fromhex(one)) for one in keys} == {32}


def test_unban_local_is_a_release_of_its_own_kind(daemon: SmallOffice) -> None:
    assert ran("unban", "--local", "203.0.113.13") == 0
    assert ran("unban", "198.51.100.0/24") == 0
    causes = {one.subject: one.cause for _, one in daemon.ledger.past() if isinstance(one, Release)}
    assert causes == {"203.0.113.13": "local", "198.51.100.0/24": "operator"}


def test_a_fleet_without_its_key_fails_the_check(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "pyfilter.toml"
    said = f'[fleet]\nredis = "redis://127.0.0.1:1"\nkey_file = "{tmp_path}/none"\n'
    config.write_text(f'state_dir = "{tmp_path}"\n{said}')
    assert ran("check", str(config)) == 2
    assert "key_file" in capsys.readouterr().err
    (tmp_path / "none").write_text("ab" * 32)
    assert ran("check", str(config)) == 0
