# notifiers: each tells of the same decisions, in its own words, and none ever raises.
import io
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pyfilter.addresses import network
from pyfilter.model import Ban, Decision, Release
from pyfilter.notifiers.console import ConsoleNotifier
from pyfilter.notifiers.lines import LinesNotifier
from pyfilter.notifiers.speaker import Speaker

AnyOpened = ConsoleNotifier | LinesNotifier
NOW, FROM = "1970-01-01 00:00:07", "The IP was from United Kingdom."
V = network("203.0.113.13")
BAN = Ban(V, 100.0, 3700.0, "5 sshd failures in 42s", rule="ssh", origin="here")
DECISIONS: list[Decision] = [
    BAN,
    Ban(V, 100.0, None, "by hand", origin="operator", by="ann"),
    Ban(V, 100.0, None, "x", origin="web02"),
    Ban(V, 100.0, None, "x", observe=True, origin="here"),
    Release(V, 200.0, "expired", origin="here"),
    Release(V, 200.0, "operator", origin="operator", by="ann"),
]
MAKERS: dict[str, Callable[[Speaker], AnyOpened]] = {
    "console": lambda speaker: ConsoleNotifier(speaker, "here", lambda _: FROM),
    "lines": lambda speaker: LinesNotifier(speaker, "here"),
}
WORDS = {
    "console": [
        f"{NOW} Found IP: {V} from server: here. {FROM}",
        f"{NOW} Found IP: {V} from server: here. {FROM}",
        f"{NOW} Found IP: {V} from server: web02. {FROM}",
        f"{NOW} Would ban IP: {V} from server: here. {FROM}",
        "1970-01-01 00:00:07 Released IP: 203.0.113.13 (expired).",
        "1970-01-01 00:00:07 Released IP: 203.0.113.13 (operator).",
        "Checking Ssh logs",
        "No file to check within rule: Mysql",
    ],
    "lines": [
        "Banned 203.0.113.13 (5 sshd failures in 42s) for 1h",
        "Banned 203.0.113.13 (by hand, by ann) for ever",
        "Banned 203.0.113.13 (x, from server web02) for ever",
        "Would ban 203.0.113.13 (x) for ever",
        "Released 203.0.113.13 (expired)",
        "Released 203.0.113.13 (operator, by ann)",
        "Guarding ssh",
        "Nothing to read for mysql",
    ],
}


@pytest.fixture(params=MAKERS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def test_every_decision_is_told_in_one_line(kind: str) -> None:
    stream = io.StringIO()
    notifier = MAKERS[kind](Speaker(stream, clock=lambda: 7.0))
    for decision in DECISIONS:
        notifier.tell(decision)
    notifier.checking("ssh")
    notifier.nothing_to_check("mysql")
    notifier.close()
    assert stream.getvalue().splitlines() == WORDS[kind]


def test_hostile_text_stays_one_harmless_line(kind: str) -> None:
    stream = io.StringIO()
    notifier = MAKERS[kind](Speaker(stream))
    notifier.tell(Ban(V, 1.0, None, "a\nFound IP: 1.2.3.4\x1b[2J", origin="evil\nname"))
    notifier.close()
    assert stream.getvalue().count("\n") == 1
    assert "\x1b" not in stream.getvalue()


def test_a_closed_stream_and_a_full_disk_hurt_nobody(kind: str) -> None:
    stream = io.StringIO()
    stream.close()
    speaker = Speaker(stream, Path("/proc/version/logs"))
    notifier = MAKERS[kind](speaker)
    notifier.tell(BAN)
    notifier.close()
    assert speaker.trouble
