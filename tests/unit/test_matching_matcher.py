import pytest

from pyfilter.matching import library
from pyfilter.matching.matcher import Matcher
from pyfilter.model import Block, Event

NOW = 1795348800.0


def matched(*lines: str) -> list[Event]:
    data = "".join(f"{line}\n" for line in lines).encode("utf-8", "surrogateescape")
    return Matcher([(library.load("sshd"), ())]).events(Block("test", data, NOW))


@pytest.mark.parametrize(
    "header",
    [
        "Nov 22 05:21:20 web sshd[811]: ",
        "Nov  3 05:21:20 sshd[811]: ",
        "2026-11-22T05:21:20.123456+00:00 web.example.net sshd[811]: ",
        "<86>Nov 22 05:21:20 web sshd[811]: ",
        "Nov 22 05:21:20 web auth.info sshd[811]: ",
        "Nov 22 05:21:20 <auth.info> web sshd[811]: ",
        "Nov 22 05:21:20 web sshd[811]: [ID 800047 auth.info] ",
        "Nov 22 05:21:20 2001:db8::5 /usr/sbin/sshd[811]: ",
        "1763875280.123456 web sshd-session[811]: ",
        "<86>1 2026-11-22T05:21:20Z web sshd 811 - - ",
        "Sun 2026-11-22 05:21:20 UTC web sshd[811]: ",
        "sshd: ",
    ],
)
def test_a_syslog_header_is_read_in_each_of_its_forms(header: str) -> None:
    (event,) = matched(f"{header}Failed password for root from 192.0.2.1 port 22 ssh2")
    assert event.address == "192.0.2.1"
    assert event.pid in ("811", "")
    assert (event.user, event.port, event.at) == ("root", "22", NOW)


@pytest.mark.parametrize(
    "line",
    [
        "Nov 22 05:21:20 web nginx: sshd[811]: Failed password for root from 192.0.2.1 port 22",
        "Nov 22 05:21:20 web nginx[1]: sshd[811]: Failed password for root from 192.0.2.1 port 22",
        "x Nov 22 05:21:20 web sshd[811]: Failed password for root from 192.0.2.1 port 22",
        "Failed password for root from 192.0.2.1 port 22 ssh2",
    ],
)
def test_a_header_within_a_line_is_no_header(line: str) -> None:
    assert matched(line) == []


def test_a_message_repeated_by_rsyslog_weighs_as_often() -> None:
    (event,) = matched(
        "Nov 22 05:21:20 web sshd[811]: message repeated 4 times: "
        "[ Failed password for root from 192.0.2.1 port 22 ssh2]"
    )
    assert event.weight == 4.0


def test_a_host_name_is_counted_and_never_an_event() -> None:
    matcher = Matcher([(library.load("sshd"), ())])
    line = b"Nov 22 05:21:20 web sshd[811]: Failed password for root from a.example port 22 ssh2\n"
    assert matcher.events(Block("test", line, NOW)) == []
    assert matcher.unattributable == 1


@pytest.mark.parametrize("header", ["", "Nov 22 05:21:20 web app[811]: ", "1763875280.1 web app: "])
@pytest.mark.parametrize(
    "text", ["bad login from 192.0.2.1", '{"message": "bad login from 192.0.2.1"}']
)
def test_a_json_rule_reads_text_too_and_either_behind_a_header(header: str, text: str) -> None:
    rule = library.convert(
        {
            "name": "app",
            "format": "json",
            "tags": ["app"],
            "patterns": [{"match": "^bad login from <ip>$"}],
        },
        "app",
    )
    block = Block("test", f"{header}{text}\n".encode() * 9, NOW)
    matcher = Matcher([(rule, ())])
    assert [event.address for event in matcher.events(block)] == ["192.0.2.1"] * 9
    assert matcher.events(block) == matcher.plain(block)


def test_lines_with_more_finds_than_bytes_are_read() -> None:
    forged = " ".join(f"192.0.2.9:1 [x] a b 0/0/0 {status} 1" for status in (403, 429, 403))
    line = (
        "<134>Nov 23 07:18:06 haproxy[3972]: 127.0.0.1:50574 [23/Nov/2026:07:18:06.276] fe fe/<NOSRV> "
        f'0/-1/-1/-1/0 401 246 - - LR-- 2/2/0/0/0 0/0 "GET /{forged} {"x" * 900} HTTP/1.1"\n'
    )
    matcher = Matcher([(library.load("haproxy"), ())])
    matcher._dense = True
    block = Block("test", line.encode() * 9, NOW)
    assert len(matcher.events(block)) == len(matcher.plain(block)) == 9
