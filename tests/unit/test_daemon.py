# daemon: its clock, what systemd is told, what a reload keeps. The whole runs in tests/system.
import socket
from pathlib import Path

import pytest

from pyfilter import settings
from pyfilter.addresses import Network
from pyfilter.daemon.clock import SteadyClock
from pyfilter.daemon.duties import assign, merged
from pyfilter.daemon.guard import Guard
from pyfilter.daemon.parts import observing, open_ledger, server_name
from pyfilter.daemon.sd_notify import tell_systemd, watchdog_interval
from pyfilter.detection import Room
from pyfilter.enforcer import Enforcer
from pyfilter.firewalls import Observe
from pyfilter.ledger import Memory
from pyfilter.model import Allowance, Ban
from pyfilter.protection import Protection

X = Network("203.0.113.13")
TOML = '[rules.sshd]\nlogpath = "{log}"\nmaxretry = {maxretry}\n{more}'


def configured(folder: Path, maxretry: int = 5, more: str = "") -> settings.Settings:
    file = folder / "pyfilter.toml"
    file.write_text(TOML.format(log=folder / "auth.log", maxretry=maxretry, more=more))
    return settings.load(file)


def test_the_clock_starts_at_the_wall_time_and_only_goes_forward() -> None:
    clock = SteadyClock()
    first, second = clock(), clock()
    assert first <= second
    assert abs(clock.stepped()) < 1.0


def test_systemd_is_told_on_its_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        tell_systemd("READY=1", "STATUS=Guarding sshd")
        assert systemd.recv(100) == b"READY=1\nSTATUS=Guarding sshd"


def test_without_systemd_nothing_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    tell_systemd("READY=1")
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "gone"))
    tell_systemd("READY=1")


def test_the_watchdog_is_fed_in_half_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "30000000")
    assert watchdog_interval() == 15.0
    monkeypatch.delenv("WATCHDOG_USEC")
    assert watchdog_interval() is None


def test_rules_that_read_one_log_share_its_source(tmp_path: Path) -> None:
    log = tmp_path / "auth.log"
    more = f'[rules.mine]\nlogpath = "{log}"\npattern = ["^<time> no <user> from <ip>$"]\n'
    duties = assign(configured(tmp_path, more=more), SteadyClock(), Room())
    (source,) = duties.sources
    assert [r.rule.name for r in duties.matchers[source].readers] == ["sshd", "mine"]
    assert duties.unread == ()


def test_a_rule_without_a_log_is_said_to_be_unread(tmp_path: Path) -> None:
    file = tmp_path / "pyfilter.toml"
    file.write_text("[rules.sshd]\nlogpath = []\n")
    duties = assign(settings.load(file), SteadyClock(), Room())
    assert duties.unread == ("sshd",)
    assert duties.sources == {}


def test_a_reload_keeps_sources_and_the_counts_of_unchanged_limits(tmp_path: Path) -> None:
    clock = SteadyClock()
    room = Room()
    old = assign(configured(tmp_path), clock, room)
    same = merged(old, assign(configured(tmp_path), clock, room))
    assert same.sources == old.sources
    assert same.watches["sshd"].detector is old.watches["sshd"].detector
    changed = merged(old, assign(configured(tmp_path, maxretry=3), clock, room))
    assert changed.sources == old.sources
    assert changed.watches["sshd"].detector is not old.watches["sshd"].detector


def test_what_a_reload_gives_up_leaves_the_room_that_all_counts_share(tmp_path: Path) -> None:
    clock, room = SteadyClock(), Room()
    duties = assign(configured(tmp_path), clock, room)
    before = len(room.tables)
    for number in range(3, 6):
        duties = merged(duties, assign(configured(tmp_path, maxretry=number), clock, room))
    assert len(room.tables) == before


def test_observing_bans_nothing(tmp_path: Path) -> None:
    assert observing(configured(tmp_path)).firewall == Observe()


def test_the_server_has_a_name(tmp_path: Path) -> None:
    assert server_name(configured(tmp_path)) == socket.gethostname()


def test_without_a_place_for_the_ledger_bans_are_remembered_in_memory(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    blocked = settings.Settings(state_dir=str(tmp_path / "file" / "state"))
    assert type(open_ledger(blocked)) is type(Memory().open())


def test_allowing_a_banned_address_releases_it() -> None:
    firewall = Observe().open()
    enforcer = Enforcer(Memory().open(), firewall, Protection(), lambda: 1000.0)
    guard = Guard(enforcer)
    enforcer.apply([Ban(X, 1000.0, None, "5 failures", "sshd")])
    guard.allow(Allowance("203.0.113.0/24"))
    assert enforcer.bans() == []
    assert firewall.blocked() == {}
    assert guard.disallow("203.0.113.0/24")
    assert not guard.disallow("203.0.113.0/24")


async def test_an_allowed_name_protects_what_it_resolves_to() -> None:
    enforcer = Enforcer(Memory().open(), Observe().open(), Protection(), lambda: 1000.0)
    guard = Guard(enforcer)
    guard.allow(Allowance("localhost"))
    assert enforcer.protection.names() == ["localhost"]
    await guard.resolve()
    assert {"127.0.0.1", "::1"} & set(enforcer.protection.resolved["localhost"])
