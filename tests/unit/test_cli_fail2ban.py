# cli/fail2ban: its files are read in its order, its expressions become rules, its bans are taken over.
import json
import sqlite3
import time
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner

from pyfilter import settings
from pyfilter.addresses import network
from pyfilter.cli import commands
from pyfilter.cli.fail2ban.bans import live
from pyfilter.cli.fail2ban.dates import stamps
from pyfilter.cli.fail2ban.expressions import UnsuitedError, pattern
from pyfilter.cli.fail2ban.files import read
from pyfilter.cli.fail2ban.jails import logpaths, seconds
from pyfilter.cli.fail2ban.tags import named, substituted
from pyfilter.cli.fail2ban.taking import Row, Taking, take
from pyfilter.cli.fail2ban.trying import Tried, tried
from pyfilter.errors import RefusedError
from pyfilter.ledger import Sqlite
from pyfilter.matching.cutting import Cutter
from pyfilter.matching.matcher import Matcher
from pyfilter.matching.rule import Rule
from pyfilter.model import Block, Event
from small_office import SmallOffice, served

FIXTURE = Path(__file__).parents[1] / "golden" / "fail2ban"
NOW = 1795341600.0


@pytest.fixture(scope="module")
def taking() -> Taking:
    return take(FIXTURE)


def row(taking: Taking, kind: str, name: str) -> Row:
    return next(one for one in taking.rows if (one.kind, one.name) == (kind, name))


def events(rule: Rule, *lines: str) -> list[Event]:
    data = "".join(f"{line}\n" for line in lines).encode()
    matcher = Matcher([(rule, ())])
    found = matcher.events(Block("test", data, NOW, live=False))
    assert found == matcher.plain(Block("test", data, NOW, live=False))
    return found


def rule_of(taking: Taking, name: str) -> Rule:
    return next(rule for rule, _ in taking.own if rule.name == name)


def test_local_files_win_over_conf_files_in_its_order() -> None:
    found = read(FIXTURE / "jail.conf")
    assert found.get("door", "bantime") == "30m"  # jail.conf 10m, jail.d 20m, jail.local 30m
    assert found.get("door", "maxretry") == "6"
    assert found.get("gate", "maxretry") == "3"  # jail.d/*.local comes last
    assert found.get("door", "logpath") == "/var/log/door*.log"  # an included file's `after`


def test_a_reference_in_circles_is_refused(tmp_path: Path) -> None:
    (tmp_path / "jail.conf").write_text("[a]\nx = %(y)s\ny = %(x)s\n")
    with pytest.raises(RefusedError, match="circles"):
        read(tmp_path / "jail.conf").get("a", "x")


def test_a_missing_reference_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "jail.conf").write_text("[a]\nx = 5%% of %(gone)s\n")
    with pytest.raises(RefusedError, match="gone"):
        read(tmp_path / "jail.conf").get("a", "x")


def test_arguments_of_a_filter_are_read_with_quotes_commas_and_second_brackets() -> None:
    text = "name[mode=loud, word=\"x, y\", other='a]b'][more=1]"
    assert named(text) == (
        "name",
        {"mode": "loud", "word": "x, y", "other": "a]b", "more": "1"},
    )
    assert named("name") == ("name", {})
    with pytest.raises(RefusedError):
        named("name[=]")


def test_tags_within_tags_are_filled_in_from_the_inside() -> None:
    assert substituted({"a": "<b-<c>> <HOST>", "b-x": "y", "c": "x"})["a"] == "y <HOST>"
    with pytest.raises(RefusedError, match="circles"):
        substituted({"a": "<b>x", "b": "<a>"})


def test_a_filter_says_what_its_files_the_arguments_and_the_jail_say(taking: Taking) -> None:
    door, gate, shed = (rule_of(taking, name) for name in ("door", "gate", "shed"))
    assert len(door.patterns) == 3  # two of door.conf, one added by door.local
    assert [one.match.split("(?:")[0] for one in gate.patterns] == ["^x, y N ", "^more from "]
    assert [one.match.split(" (?:")[0] for one in shed.patterns] == [
        "L3",
        "^(?P<nofail>hello) of",
    ]
    assert shed.ignore == ("^never",)


def test_every_enabled_jail_and_every_filter_is_accounted_for(taking: Taking) -> None:
    fates = {(one.kind, one.name): one.fate for one in taking.rows}
    assert fates == {
        ("defaults", "[DEFAULT]"): "in part",
        ("jail", "door"): "translated",
        ("jail", "gate"): "translated",
        ("jail", "shed"): "in part",
        ("jail", "attic"): "left out",
        ("jail", "knock"): "left out",
        ("jail", "asking"): "left out",
        ("jail", "sshd"): "replaced",
        ("jail", "unit"): "translated",
        ("filter", "attic"): "left out",
        ("filter", "door"): "translated",
        ("filter", "gate"): "translated",
        ("filter", "parts"): "included",
        ("filter", "shed"): "in part",
        ("filter", "sshd"): "replaced",
    }
    assert "several lines" in row(taking, "jail", "attic").reason
    assert "lets in" in row(taking, "jail", "knock").reason
    assert "ignorecommand" in row(taking, "jail", "asking").reason
    assert all(
        one.reason or one.notes for one in taking.rows if one.fate in ("left out", "in part")
    )


def test_the_policy_is_the_users(taking: Taking) -> None:
    assert taking.sections["defaults"] == {
        "maxretry": 6,
        "findtime": 3600.0,
        "bantime": 1800.0,
        "bantime_increment": True,
        "bantime_max": 5 * 7 * 86400.0,
        "ignoreip": [
            *("127.0.0.0/8", "::1", "192.0.2.1", "198.51.100.0/24", "office.example.net"),
        ],
    }
    assert taking.sections["rules.gate"]["bantime"] == -1
    assert taking.sections["rules.sshd"] == {
        "maxretry": 3
    }  # where to read is not the user's own word
    assert row(taking, "jail", "sshd").notes == (
        "/var/log/secure-somewhere.log is not there: rule sshd looks for its logs itself",
    )
    assert taking.sections["rules.unit"]["journal"] == [
        "_SYSTEMD_UNIT=door.service _UID=*",
        "_COMM=doord",
    ]


def test_what_is_written_is_a_configuration_that_means_the_same(
    taking: Taking, tmp_path: Path
) -> None:
    file = tmp_path / "new.toml"
    run = CliRunner().invoke(commands, ["import", "fail2ban", str(FIXTURE), "--write", str(file)])
    assert run.exit_code == 0, run.output
    loaded = settings.load(file)
    assert set(loaded.rules) == {"door", "gate", "shed", "sshd", "unit"}
    for rule, logs in taking.own:
        assert loaded.rules[rule.name].rule == rule
        assert loaded.rules[rule.name].logpath == (logs or None)
    assert loaded.rules["gate"].limits.bantime == -1
    again = CliRunner().invoke(commands, ["import", "fail2ban", str(FIXTURE), "--write", str(file)])
    assert again.exit_code != 0
    forced = ["import", "fail2ban", str(FIXTURE), "--write", str(file), "--force"]
    assert CliRunner().invoke(commands, forced).exit_code == 0


def test_scripts_get_one_document() -> None:
    run = CliRunner().invoke(commands, ["-o", "json", "import", "fail2ban", str(FIXTURE)])
    found = json.loads(run.stdout)
    assert {one["name"] for one in found["jails"]} >= {"door", "knock"}
    assert tomllib.loads(found["toml"])["rules"]["door"]["format"] == "cut"
    assert found["bans"] is None


def test_a_folder_without_jails_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match=r"jail\.conf"):
        take(tmp_path)


def test_a_rule_reads_lines_as_its_filter_does(taking: Taking) -> None:
    door = rule_of(taking, "door")
    found = events(
        door,
        "Nov 22 10:00:00 host doord[7]: part 192.0.2.7",
        "Nov 22 10:00:01 host doord: knock of fox: [2001:db8::7]",
        "Nov 22 10:00:02 host otherd: part 192.0.2.8",
        "Nov 22 10:00:03 host doord: a foe a 192.0.2.9",
        "Nov 22 10:00:03 host doord: a foe b 192.0.2.10",
        "Nov 22 10:00:03 host doord: a friendly a 192.0.2.11",
        "Nov 22 10:00:03 host doord: part ::ffff:192.0.2.12",
        "Nov 22 10:00:03 host doord: part box.example.net",
    )
    assert [(one.address, one.user) for one in found] == [
        ("192.0.2.7", ""),
        ("2001:db8::7", "fox"),
        ("192.0.2.9", ""),
        ("192.0.2.12", ""),
    ]
    assert found[1].at - found[0].at == 1


def test_the_rule_in_the_documentation_does_what_it_says(tmp_path: Path) -> None:
    page = Path(__file__).parents[2] / "docs" / "from-fail2ban.md"
    file = tmp_path / "page.toml"
    file.write_text(page.read_text().partition("```toml\n")[2].partition("```")[0])
    found = events(
        settings.load(file).rules["door"].rule,
        "Nov 22 10:00:00 host doord: no entry for fox from 192.0.2.7",
        "Nov 22 10:00:00 host doord: no entry for guest from 192.0.2.8",
    )
    assert [(one.address, one.user) for one in found] == [("192.0.2.7", "fox")]


def test_content_and_ignore_hold_for_what_the_prefix_leaves(taking: Taking) -> None:
    gate = rule_of(taking, "gate")
    lines = ("192.0.2.7", "192.0.2.99", "192.0.2.990")
    found = events(
        gate,
        *(f"2026-11-22T10:00:00+00:00 host gated[1]: x, y N {who}" for who in lines),
        "2026-11-22T10:00:00+00:00 host gated[1]: more from 192.0.2.8",
        "more from 192.0.2.9",
    )
    assert [one.address for one in found] == ["192.0.2.7", "192.0.2.8"]


def test_what_is_no_failure_stops_a_line(taking: Taking) -> None:
    shed = rule_of(taking, "shed")
    found = events(
        shed, "[2026/11/22-10:00:00]hello of 192.0.2.7", "[2026/11/22-10:00:00] L3 192.0.2.8"
    )
    assert [one.address for one in found] == ["192.0.2.8"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("^a$<SKIPLINES>^b <HOST>$", "several lines"),
        (r"^a\nb <HOST>$", "several lines"),
        ("^b <F-ID>.+</F-ID>$", "something else"),
        ("^net <SUBNET>$", "networks"),
        ("^nobody$", "no address"),
        ("^(<HOST>$", "no regular expression"),
        ("^<HOST> <HOST>$", "no regular expression"),
        ("^gained <F-MLFGAINED>x</F-MLFGAINED> <HOST>", "other lines"),
        ("^<HOST> [é]$", "ASCII"),
        ("^<HOST> <F-ABC/>$", "not known"),
    ],
)
def test_what_has_no_like_is_refused_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(UnsuitedError, match=reason):
        pattern(text)


def test_where_names_are_not_resolved_a_host_is_an_address() -> None:
    assert "host" in pattern("^from <HOST>").groups
    assert "host" not in pattern("^from <HOST>", hosts=False).groups


def test_a_flag_holds_for_the_whole_expression() -> None:
    assert pattern("^(a|(?i)b) <IP4>$").match.startswith("(?i)^(a|b) ")


@pytest.mark.parametrize(
    ("datepattern", "line", "rest"),
    [
        ("", "a Nov 22 10:00:00 b", b"a  b"),
        ("{^LN-BEG}", "[Nov 22 10:00:00] b", b"[] b"),
        ("{^LN-BEG}", "a Nov 22 10:00:00 b", b"a Nov 22 10:00:00 b"),
        (r"^\w+ \[({DATE})", "x [22/Nov/2026:10:00:00 +0100] b", b"x [] b"),
        (r"^\w+ (\[{DATE} *\])", "x [22/Nov/2026:10:00:00 +0100] b", b"x  b"),
        (r"^<at {DATE}> ?", "<at 2026-11-22T10:00:00> x", b"x"),
        ("%Y %m %d %H.%M.%S", "a 2026 11 22 10.00.00: b", b"a : b"),
        ("^%m-%d %H:%M(?:h)?", "11-22 10:00 b", b" b"),
        ("{^LN-BEG}Epoch", "[1795341600] b", b"[] b"),
        ("Epoch", "(1795341600.123) b", b"(1795341600.123) b"),
        ("TAI64N", "@400000006567e4bb0fc3d2ac b", b" b"),
        ("{NONE}", "Nov 22 10:00:00 b", b"Nov 22 10:00:00 b"),
        ("^%d.%m.%y\n^hint ()**", "hint b", b"hint b"),
    ],
)
def test_the_time_is_cut_out_where_the_datepattern_says(
    datepattern: str, line: str, rest: bytes
) -> None:
    cutter = Cutter(Rule("x", format="cut", stamp=stamps(datepattern)))
    assert cutter.cut(line.encode()).text == rest


def test_an_unknown_datepattern_is_refused() -> None:
    with pytest.raises(UnsuitedError, match="%Q"):
        stamps("%Q")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *(("600", 600), ("10m", 600), ("1d12h30m", 131400), ("1y 6mo", 47336400), ("-1", -1)),
        *(("3ww", 1814400), ("1.5h", 5400), ("2 weeks", 1209600), ("90 sec", 90), ("-1h", -1)),
    ],
)
def test_durations_have_its_units(text: str, value: float) -> None:
    assert seconds(text) == value


@pytest.mark.parametrize("text", ["soon", "", "5 parsecs", "1d,2h"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(RefusedError):
        seconds(text)


def test_logs_may_stand_on_several_lines_with_a_word_behind() -> None:
    assert logpaths("/a tail\n  /b/*.log head\n\n/c d") == ("/a", "/b/*.log", "/c d")


@pytest.fixture
def base(tmp_path: Path) -> Path:
    path = tmp_path / "fail2ban.sqlite3"
    with sqlite3.connect(path) as made:
        columns = (
            "jail TEXT, ip TEXT, timeofban INTEGER, bantime INTEGER, bancount INTEGER, data JSON"
        )
        now = int(time.time())
        for table in ("bans", "bips"):
            made.execute(f"CREATE TABLE {table} ({columns})")
        rows = [
            ("sshd", "192.0.2.1", now - 100, 600, 3, "{}"),
            ("sshd", "192.0.2.2", now - 700, 600, 1, "{}"),
            ("web", "192.0.2.3", now - 900_000, -1, 1, "{}"),
            ("web", "2001:DB8::1", now, 60, 1, "{}"),
            ("web", "198.51.100.0/24", now, 60, 1, "{}"),
            ("web", "nobody", now, 60, 1, "{}"),
            ("web", "192.0.2.1", now, 60, 1, "{}"),
        ]
        made.executemany("INSERT INTO bips VALUES (?, ?, ?, ?, ?, ?)", rows)
    made.close()
    return path


def test_bans_in_force_are_taken_and_no_others(base: Path) -> None:
    now = time.time()
    taken = live(base, now)
    found = {str(ban.subject): ban for ban in taken.bans}
    assert set(found) == {"192.0.2.1", "192.0.2.3", "2001:db8::1", "198.51.100.0/24"}
    assert (found["192.0.2.1"].rule, found["192.0.2.1"].strike) == ("sshd", 3)
    assert found["192.0.2.3"].until is None
    assert len(taken.notes) == 1
    assert "nobody" in taken.notes[0]


@pytest.mark.parametrize("alone", [True, False])
def test_bans_reach_the_ledger_while_no_daemon_runs(
    base: Path, tmp_path: Path, alone: bool
) -> None:
    file = tmp_path / "pyfilter.toml"
    file.write_text(f'state_dir = "{tmp_path}/state"\nruntime_dir = "{tmp_path}/run"\n')
    what = [str(base)] if alone else [str(FIXTURE), "--bans", "--base", str(base)]
    command = ["-c", str(file), "import", "fail2ban", *what]
    run = CliRunner().invoke(commands, command)
    assert run.exit_code == 0, run.output
    ledger = Sqlite(f"{tmp_path}/state/pyfilter.db").open()
    try:
        assert len(ledger.active(time.time())) == 4
    finally:
        ledger.close()


def test_bans_go_to_the_running_daemon_and_keep_their_ends(base: Path, tmp_path: Path) -> None:
    office = SmallOffice()
    with served(office, tmp_path / "run") as socket:
        command = ["--socket", str(socket), "import", "fail2ban", str(base)]
        run = CliRunner().invoke(commands, command)
    assert run.exit_code == 0, run.output
    assert set(office.enforcer.standing) == {
        *("192.0.2.1", "192.0.2.3", "2001:db8::1", "198.51.100.0/24"),
    }
    ban = office.enforcer.standing[network("192.0.2.1")]
    assert ban.until is not None
    assert 400 < ban.until - ban.since <= 500
    assert office.enforcer.standing[network("192.0.2.3")].until is None


def test_a_rule_is_run_over_the_logs_that_are_there(taking: Taking, tmp_path: Path) -> None:
    (tmp_path / "a.log").write_text(
        "Nov 22 10:00:00 host doord: part 192.0.2.7\n"
        "Nov 22 10:00:00 host doord: part box.example.net\n"
        "Nov 22 10:00:00 host doord: nothing"
    )
    door = rule_of(taking, "door")
    found = list(tried(door, (f"{tmp_path}/*.log", f"{tmp_path}/none"), NOW))
    assert found[0] == Tried("door", f"{tmp_path}/a.log", lines=3, matched=2)
    assert found[1].error


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "jail.conf").write_bytes(b"[a]\nx = \xff\n")
    with pytest.raises(RefusedError, match="cannot be read"):
        take(tmp_path)


def test_what_is_no_base_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"no base at all")
    with pytest.raises(RefusedError, match="no bans"):
        live(path, NOW)
