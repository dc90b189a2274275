# pipeline: block -> events -> offences -> bans, with the parts that the daemon uses.
from collections.abc import Sequence

import pytest

from pyfilter import detection
from pyfilter.addresses import Network
from pyfilter.matching import library
from pyfilter.matching.matcher import Matcher
from pyfilter.model import Ban, Block, Event, History, Limits
from pyfilter.pipeline import Pipeline, Watch
from pyfilter.protection import Protection

X = Network("203.0.113.13")
NOW = 1_800_000_000.0


def failure(number: int, address: str = X) -> bytes:
    return (
        f"Jan 15 08:00:{number:02d} web01 sshd[{4000 + number}]: Failed password for root "
        f"from {address} port {50000 + number} ssh2\n"
    ).encode()


def block(*lines: bytes, at: float = NOW, live: bool = True, again: bool = False) -> Block:
    return Block("log", b"".join(lines), at, live=live, again=again)


class Stage:
    """A pipeline with the sshd rule and what it is given to remember."""

    def __init__(self, limits: Limits | None = None, exempt: Protection | None = None) -> None:
        self.banned: set[str] = set()
        self.history = History()
        self.heard: list[Event] = []
        self.pipeline = Pipeline(
            "web01", self.banned, lambda subjects: dict.fromkeys(subjects, self.history)
        )
        self.pipeline.matchers = {"log": Matcher([(library.load("sshd"), ())])}
        limits = limits or Limits()
        self.pipeline.watches = {"sshd": Watch(limits, detection.open(limits), exempt)}
        self.pipeline.listeners.append(self.hear)

    def hear(self, events: Sequence[Event]) -> None:
        self.heard.extend(events)

    def process(self, *lines: bytes, **marks: bool) -> list[Ban]:
        return self.pipeline.process(block(*lines, **marks))


def test_five_failures_are_a_ban_with_evidence() -> None:
    stage = Stage()
    assert stage.process(*(failure(n) for n in range(4))) == []
    (ban,) = stage.process(failure(4))
    assert (ban.subject, ban.rule, ban.origin, ban.since) == (X, "sshd", "web01", NOW)
    assert ban.until == NOW + 3600
    assert [event.line for event in ban.evidence] == [failure(n).strip() for n in range(5)]


def test_two_offences_in_one_block_are_one_ban() -> None:
    assert len(Stage().process(*(failure(n) for n in range(12)))) == 1


def test_who_is_banned_already_is_not_counted() -> None:
    stage = Stage()
    stage.banned.add(X)
    assert stage.process(*(failure(n) for n in range(9))) == []
    assert stage.pipeline.score(X) == {}
    assert stage.pipeline.statistics == {"sshd": (9, 0)}


def test_an_address_of_a_banned_network_is_not_counted() -> None:
    stage = Stage()
    stage.banned.add("2001:db8:0:1::/64")
    assert stage.process(*(failure(n, f"2001:db8:0:1::{n + 1}") for n in range(9))) == []
    assert stage.pipeline.score(Network("2001:db8:0:1::/64")) == {}


def test_whom_the_rule_exempts_is_not_banned_by_it() -> None:
    stage = Stage(exempt=Protection(["203.0.113.0/24"]))
    assert stage.process(*(failure(n) for n in range(9))) == []


def test_lines_read_again_count_but_are_no_news() -> None:
    stage = Stage()
    stage.process(*(failure(n) for n in range(4)), live=False, again=True)
    assert stage.heard == []
    assert stage.pipeline.statistics == {"sshd": (0, 0)}
    assert stage.pipeline.score(X) == {"sshd": 4.0}


def test_what_came_before_a_release_does_not_ban() -> None:
    stage = Stage()
    stage.history = History(strikes=1, last_banned=NOW - 20, last_released=NOW)
    assert stage.pipeline.process(block(*(failure(n) for n in range(5)))) == []
    later = [failure(n) for n in range(5, 10)]
    assert len(stage.pipeline.process(block(*later, at=NOW + 2))) == 1


def test_a_login_is_heard_and_not_counted() -> None:
    stage = Stage()
    line = (
        b"Jan 15 08:00:00 web01 sshd[1]: Accepted password for anna from 203.0.113.13 port 5 ssh2\n"
    )
    assert stage.process(line) == []
    assert [(e.kind, e.user, e.port) for e in stage.heard] == [("success", "anna", "5")]
    assert stage.pipeline.score(X) == {}


def test_dropping_a_subject_forgets_its_count() -> None:
    stage = Stage()
    stage.process(*(failure(n) for n in range(4)))
    assert len(stage.pipeline.recent(X)) == 4
    stage.pipeline.drop(X)
    assert stage.process(failure(5)) == []
    assert stage.pipeline.score(X) == {"sshd": 1.0}


def test_what_is_over_is_forgotten() -> None:
    stage = Stage(Limits(findtime=60.0))
    stage.process(*(failure(n) for n in range(4)))
    stage.pipeline.forget(NOW + 61)
    assert stage.pipeline.process(block(failure(5), at=NOW + 61)) == []


def test_the_tally_gives_each_count_once() -> None:
    stage = Stage()
    stage.process(*(failure(n) for n in range(5)))
    hour = int(NOW) // 3600
    assert stage.pipeline.take_tally(NOW) == {("sshd", hour): (5, 1)}
    assert stage.pipeline.take_tally(NOW) == {}
    stage.process(failure(6, "203.0.113.14"))
    assert stage.pipeline.take_tally(NOW + 3600) == {("sshd", hour + 1): (1, 0)}


@pytest.mark.parametrize("live", [True, False])
def test_a_benign_block_is_nothing(live: bool) -> None:
    line = b"Jan 15 08:00:00 web01 CRON[7]: pam_unix(cron:session): session opened for user root\n"
    assert Stage().process(line, live=live) == []


def test_in_a_flood_who_is_banned_is_counted_and_not_told_of() -> None:
    stage = Stage()
    stage.banned.add(X)
    flood = [failure(n % 60, X if n % 3 else "203.0.113.14") for n in range(600)]
    assert {ban.subject for _ in range(3) for ban in stage.process(*flood)} == {"203.0.113.14"}
    assert stage.pipeline.statistics["sshd"][0] == 1800
    assert stage.pipeline.score(X) == {}
    assert 600 <= len(stage.heard) < 1800


def test_who_weighs_is_told_of_every_event_of_a_flood() -> None:
    stage = Stage()
    stage.banned.add(X)
    stage.pipeline.weigh = lambda events: events
    for _ in range(3):
        stage.process(*(failure(n % 60) for n in range(600)))
    assert len(stage.heard) == 1800
