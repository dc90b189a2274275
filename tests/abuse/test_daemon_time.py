# The wall clock jumps: live failures still count, live bans end after their real duration.
import time
from functools import cache

import pytest

from pyfilter import detection
from pyfilter.addresses import Network
from pyfilter.daemon.clock import SteadyClock
from pyfilter.enforcer import Enforcer, Reconciler
from pyfilter.firewalls.observe import ObservingFirewall
from pyfilter.interfaces import Ledger
from pyfilter.ledger import Memory
from pyfilter.matching import library
from pyfilter.matching.matcher import Matcher
from pyfilter.model import Block, Limits
from pyfilter.pipeline import Pipeline, Watch
from pyfilter.protection import Protection

X, Y = Network("203.0.113.9"), Network("203.0.113.10")
YEAR = 365.25 * 86400
STEPS: dict[str, tuple[float, float]] = {  # the wall time is multiplied, then added to
    "an hour ahead": (1, 3600),
    "an hour back": (1, -3600),
    "ten years ahead": (1, 10 * YEAR),
    "to 1970": (0, 5),
    "to 2100": (0, 4_102_444_800),
}


@cache
def matcher() -> Matcher:
    return Matcher([(library.load("sshd"), ())])


class Wall:
    """A wall clock that people set and a monotonic one that only the test moves on."""

    def __init__(self) -> None:
        self.wall, self.ticks = 1_795_413_600.0, 5000.0

    def time(self) -> float:
        return self.wall

    def monotonic(self) -> float:
        return self.ticks

    def step(self, name: str) -> None:
        factor, more = STEPS[name]
        self.wall = factor * self.wall + more

    def pass_by(self, seconds: float) -> None:
        self.wall += seconds
        self.ticks += seconds


class Life:
    """One life of the parts that know the time, on a ledger and a kernel that outlive it."""

    def __init__(
        self, ledger: Ledger | None = None, firewall: ObservingFirewall | None = None
    ) -> None:
        self.clock = SteadyClock()
        self.ledger: Ledger = ledger or Memory().open()
        self.firewall = firewall or ObservingFirewall()
        self.enforcer = Enforcer(self.ledger, self.firewall, Protection(), self.clock)
        self.enforcer.recall()
        Reconciler(self.enforcer).start()
        self.pipeline = Pipeline("web01", self.enforcer.standing, self.enforcer.histories)
        limits = Limits(maxretry=5, findtime=60.0, bantime=600.0)
        self.pipeline.matchers = {"log": matcher()}
        self.pipeline.watches = {"sshd": Watch(limits, detection.open(limits))}

    def fail(self, address: str, number: int) -> None:
        stamp = time.strftime("%b %e %H:%M:%S", time.localtime(time.time()))
        line = (
            f"{stamp} web01 sshd[{number}]: Failed password for root "
            f"from {address} port {1000 + number} ssh2\n"
        )
        self.enforcer.apply(self.pipeline.process(Block("log", line.encode(), self.clock())))

    def tend(self) -> None:
        self.enforcer.expire()
        self.enforcer.tend()
        self.pipeline.forget(self.clock())


@pytest.fixture
def wall(monkeypatch: pytest.MonkeyPatch) -> Wall:
    made = Wall()
    monkeypatch.setattr(time, "time", made.time)
    monkeypatch.setattr(time, "monotonic", made.monotonic)
    return made


@pytest.mark.parametrize("step", STEPS)
def test_failures_on_both_sides_of_a_step_count_together(wall: Wall, step: str) -> None:
    life = Life()
    for number in range(5):
        assert list(life.enforcer.standing) == []
        life.fail(X, number)
        wall.pass_by(1)
        if number == 2:
            wall.step(step)
            life.tend()
    assert list(life.enforcer.standing) == [X]


@pytest.mark.parametrize("step", STEPS)
def test_failures_too_far_apart_do_not_count_together_for_a_step(wall: Wall, step: str) -> None:
    life = Life()
    for number in range(4):
        life.fail(X, number)
    wall.pass_by(61)
    wall.step(step)
    life.fail(X, 4)
    assert list(life.enforcer.standing) == []


@pytest.mark.parametrize("step", STEPS)
def test_a_ban_ends_after_its_real_duration(wall: Wall, step: str) -> None:
    life = Life()
    for number in range(5):
        life.fail(X, number)
    wall.step(step)
    wall.pass_by(599)
    life.tend()
    assert list(life.enforcer.standing) == [X]
    assert list(life.firewall.blocked()) == [X]
    wall.pass_by(2)
    life.tend()
    assert list(life.enforcer.standing) == []
    assert list(life.firewall.blocked()) == []


@pytest.mark.parametrize("step", STEPS)
def test_a_ban_outlives_a_restart_after_a_step_and_ends_in_time(wall: Wall, step: str) -> None:
    before = Life()
    for number in range(5):
        before.fail(X, number)
    wall.pass_by(100)
    wall.step(step)
    after = Life(before.ledger, before.firewall)
    assert list(after.enforcer.standing) == [X]
    assert list(after.firewall.blocked()) == [X]
    for number in range(5):
        after.fail(Y, number)
    assert set(after.enforcer.standing) == {X, Y}
    wall.pass_by(601)
    after.tend()
    assert list(after.enforcer.standing) == []
    assert list(after.firewall.blocked()) == []
