# `pyfilter import fail2ban` against fail2ban itself: the installed package is its input, and says what
# its configuration means and which lines its expressions fit. Nothing of it is kept here.
import ast
import random
import re
import shutil
import sqlite3
import subprocess
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pyfilter.addresses import address
from pyfilter.cli.fail2ban import filters, jails
from pyfilter.cli.fail2ban.bans import live
from pyfilter.cli.fail2ban.files import read
from pyfilter.cli.fail2ban.rules import made
from pyfilter.cli.fail2ban.tags import named
from pyfilter.cli.fail2ban.taking import Taking, take
from pyfilter.errors import AddressError, RefusedError
from pyfilter.matching.matcher import Matcher
from pyfilter.matching.rule import Rule
from pyfilter.model import Block
from regexes import Writer, mutated

STOCK = Path("/etc/fail2ban")
OURS = Path(__file__).parents[1] / "golden" / "fail2ban"
SAID = ("failregex", "ignoreregex", "prefregex", "datepattern", "maxlines")
NOON = 1795348800.0
SYSLOG = "Nov 22 10:00:00"
STAMPS = (
    *(SYSLOG, "2026-11-22 10:00:00", "2026-11-22T10:00:00.123+00:00"),
    *("22/Nov/2026:10:00:00 +0000", "Sun Nov 22 10:00:00.123456 2026"),
)
CODES = {"ExY": "2026", "Exy": "26", "Y": "2026", "y": "26", "m": "11", "d": "22", "b": "Nov"}
CODES |= {"H": "10", "I": "10", "M": "00", "S": "00", "f": "123", "p": "AM", "a": "Sun", "z": "Z"}
ROUNDS = 9

pytestmark = pytest.mark.skipif(
    not (shutil.which("fail2ban-regex") and (STOCK / "jail.conf").is_file()),
    reason="fail2ban is not installed: apt-get install --no-install-recommends fail2ban",
)


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the stock configuration with every jail enabled."""
    folder = tmp_path_factory.mktemp("stock") / "fail2ban"
    shutil.copytree(STOCK, folder)
    (folder / "jail.d" / "zz.local").write_text("[DEFAULT]\nenabled = true\n")
    return folder


@pytest.fixture(scope="module")
def taking(everything: Path) -> Taking:
    return take(everything)


def dumped(folder: Path) -> dict[str, dict[str, Any]]:
    """Return what fail2ban makes of a configuration, by jail."""
    run = subprocess.run(
        ["fail2ban-client", "-c", str(folder), "-d"], capture_output=True, text=True, check=False
    )
    found: dict[str, dict[str, Any]] = defaultdict(dict)
    for line in run.stdout.splitlines():
        if not line.startswith("["):
            continue
        said = ast.literal_eval(line)
        if said[0] in ("set", "multi-set") and len(said) > 3:
            key, value = said[2].removeprefix("add"), said[3]
            if key in ("failregex", "ignoreregex"):
                value = tuple(value) if isinstance(value, list) else (value,)
                value = (*found[said[1]].get(key, ()), *value)
            found[said[1]][key] = value
    return found


def check_reading(folder: Path) -> int:
    """Compare what the importer reads of each jail with what fail2ban reads; return how many."""
    sections, theirs, count = read(folder / "jail.conf"), dumped(folder), 0
    for name in jails.enabled(sections):
        if name not in theirs:
            continue
        used = named(sections.get(name, "filter") or "")
        text = filters.filter_text(folder, used.name, used.arguments, jails.said_by(sections, name))
        usual: dict[str, Any] = {"failregex": (), "ignoreregex": (), "maxlines": 1}
        for key in SAID:
            assert getattr(text, key) == theirs[name].get(key, usual.get(key, "")), (name, key)
        limits, _ = jails.limits(sections, name)
        for key in ("bantime", "findtime"):
            assert limits[key] == jails.seconds(str(theirs[name][key])), (name, key)
        assert limits["maxretry"] == theirs[name]["maxretry"]
        count += 1
    return count


def test_every_stock_jail_is_read_as_fail2ban_reads_it(everything: Path) -> None:
    assert check_reading(everything) > 50


def test_order_and_references_are_read_as_fail2ban_reads_them(tmp_path: Path) -> None:
    folder = tmp_path / "fail2ban"
    shutil.copytree(OURS, folder)
    for name in ("fail2ban.conf", "action.d"):
        source = STOCK / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, folder / name)
    (folder / "jail.d" / "quiet.local").write_text("[knock]\nenabled = no\n[unit]\nenabled = no\n")
    assert check_reading(folder) >= 4


def test_every_stock_jail_and_filter_is_accounted_for(everything: Path, taking: Taking) -> None:
    sections = read(everything / "jail.conf")
    told = {
        kind: {row.name for row in taking.rows if row.kind == kind} for kind in ("jail", "filter")
    }
    assert told["jail"] == set(sections.names())
    assert told["filter"] == {path.stem for path in (STOCK / "filter.d").glob("*.conf")}
    lacking = [row for row in taking.rows if row.fate in ("left out", "in part")]
    assert all(row.reason or row.notes for row in lacking)


def test_nine_of_ten_stock_filters_translate_in_full(taking: Taking) -> None:
    fates = [row.fate for row in taking.rows if row.kind == "filter" and row.fate != "included"]
    full = sum(fate in ("translated", "replaced") for fate in fates)
    assert full >= 0.9 * len(fates), f"{full} of {len(fates)}"


def test_all_expressions_translate_even_of_filters_that_a_rule_replaces() -> None:
    left = {}
    for name in filters.names(STOCK):
        try:
            text = filters.filter_text(STOCK, name, {})
            left[name] = made(text, name).left if text.failregex else ()
        except RefusedError as error:
            left[name] = (str(error),)
    assert sum(not reasons for reasons in left.values()) >= 0.9 * len(left), left


def translated() -> list[str]:
    return filters.names(STOCK) if (STOCK / "filter.d").is_dir() else []


@pytest.mark.parametrize("name", translated())
def test_a_filters_rule_fits_the_lines_that_fail2ban_says_it_fits(
    name: str, tmp_path: Path
) -> None:
    try:
        text = filters.filter_text(STOCK, name, {})
        rule = made(text, name).rule
    except RefusedError as error:
        pytest.skip(str(error))
    log = tmp_path / "log"
    lines = list(written(rule, text.datepattern, random.Random(name)))  # noqa: S311 - seeded, no secret
    log.write_text("".join(f"{line}\n" for line in lines))
    theirs = found_by_fail2ban(log, name)
    matcher, block = Matcher([(rule, ())]), Block("log", log.read_bytes(), NOON, live=False)
    found = matcher.events(block)
    assert found == matcher.plain(block)
    assert {event.address for event in found if event.weight} == theirs
    if not theirs:
        pytest.skip("no generated line fits this filter: only misses were compared")


def written(rule: Rule, datepattern: str, chance: random.Random) -> Iterator[str]:
    """Yield lines, most of which a rule fits, each with an address of its own."""
    stamps = [own] if (own := stamp_by(datepattern, chance)) else list(STAMPS)
    for number in range(ROUNDS * len(rule.patterns)):
        pattern = rule.patterns[number % len(rule.patterns)]
        four, six = (
            f"198.18.{number // 250}.{number % 250 + 1}",
            f"3fff::{number + 1:x}",
        )  # 2001 is a year, too
        who = chance.choice((four, four, six))
        said = dict.fromkeys(("ip4", "ip6", "dns", "host"), who)
        line = Writer(chance, said).text(pattern.match)
        if rule.content:
            line = Writer(chance, {**said, "content": line}).text(rule.content.match)
        line = mutated(line, chance) if number % 3 == 2 else line
        yield timed(line.replace("\n", " "), chance.choice(stamps))


def timed(line: str, stamp: str) -> str:
    """Return a line with a time where its expression leaves room for it."""
    if "audit(:" in line:
        return line.replace("audit(:", "audit(1795341600.123:", 1)
    if "[]" in line:
        return line.replace("[]", f"[{stamp}]", 1)
    return line if re.match(r"\w", line) else stamp + line


def stamp_by(datepattern: str, chance: random.Random) -> str:
    """Return a time as a datepattern wants it, nothing where that wants a usual one."""
    first = datepattern.split("\n", maxsplit=1)[0]
    if not first or "{" in first or first.lower() == "epoch":
        return ""
    return Writer(chance, {}).text(re.sub("%(Ex.|.)", lambda code: CODES[code[1]], first))


def found_by_fail2ban(log: Path, name: str) -> set[str]:
    command = ["fail2ban-regex", "--raw", "--no-check-all", "-o", "ip", str(log), name]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    found = set()
    for text in run.stdout.split():
        try:
            found.add(str(address(text)))
        except AddressError:
            continue  # a name, or what looks like an address and is none
    return found


@pytest.fixture
def running(tmp_path: Path) -> Iterator[list[str]]:
    """Start a fail2ban that reads one log, does nothing and keeps its base here."""
    (tmp_path / "log").touch()
    (tmp_path / "filter.d").mkdir()
    (tmp_path / "filter.d" / "door.conf").write_text("[Definition]\nfailregex = ^no <HOST>$\n")
    jail = f"enabled = true\nlogpath = {tmp_path}/log\nbackend = polling\naction =\nbantime = 1h\n"
    (tmp_path / "jail.conf").write_text(f"[door]\n{jail}")
    places = {"socket": "sock", "pidfile": "pid", "dbfile": "base.sqlite3", "logtarget": "out"}
    said = "".join(f"{key} = {tmp_path}/{name}\n" for key, name in places.items())
    (tmp_path / "fail2ban.conf").write_text(f"[Definition]\nloglevel = INFO\n{said}")
    client = ["fail2ban-client", "-c", str(tmp_path)]
    subprocess.run([*client, "start"], check=True, capture_output=True, timeout=60)
    yield client
    subprocess.run([*client, "stop"], check=False, capture_output=True, timeout=60)


def test_bans_of_a_running_fail2ban_are_read_from_its_base(
    running: list[str], tmp_path: Path
) -> None:
    for who in ("192.0.2.7", "2001:db8::7", "198.51.100.0/24"):
        subprocess.run([*running, "set", "door", "banip", who], check=True, capture_output=True)
    base, deadline = tmp_path / "base.sqlite3", time.monotonic() + 60
    bans: tuple[Any, ...] = ()
    while len(bans) < 3 and time.monotonic() < deadline:
        time.sleep(0.1)
        try:
            bans = live(base, time.time()).bans
        except (RefusedError, sqlite3.Error):
            continue  # it is writing
    assert {ban.subject for ban in bans} == {"192.0.2.7", "2001:db8::7", "198.51.100.0/24"}
    assert all(3500 < ban.until - ban.since < 3602 and ban.rule == "door" for ban in bans)
