import pytest

from pyfilter.matching import library
from pyfilter.matching.breaks import Breaks
from pyfilter.matching.matcher import Matcher
from pyfilter.model import Block

HEAD = b"2026/11/23 05:39:49 [error] 1#1: *"
GUESS = (
    HEAD
    + b'2 user "root" was not found in "/etc/nginx/htp", client: %s, server: x, request: "GET / HTTP/1.1", host: "x"\n'
)
LAST = (
    b'" failed (2: No such file or directory), client: 203.0.113.5, server: x, '
    b'request: "GET /x%%0a2026%s HTTP/1.1", host: "x"\n'
)
OPENED = HEAD + b'1 open() "/srv/www/x\n'


def _matcher() -> Matcher:
    return Matcher([(library.load("nginx"), ())])


def _victims(data: bytes) -> list[str]:
    return [event.address for event in _matcher().events(Block("x", data, 0.0))]


def test_a_line_that_a_visitor_broke_into_the_log_counts_for_nothing() -> None:
    assert _victims(OPENED + GUESS % b"198.51.100.66" + LAST % b"%0a") == []
    assert _victims(GUESS % b"198.51.100.66") == ["198.51.100.66"]


@pytest.mark.parametrize(
    "end",  # of messages of 2048 bytes, as nginx 1.22 cuts them
    [
        HEAD
        + b'7 user "root": password mismatch... (36: File name too long), client: 203.0.113.5, s',
        b'z... (36: File name too long), client: 203.0.113.5, server: x, request: "GET /zzz',
        b'z" failed (2: No such file or directory), client: 203.0.113.5, server: x, request: "GET /z',
        b'z" failed (2: No such file or directory), client: 203.0.113.5, serv',
        b'z" failed (2: No such file or directory), client: 203.0',
    ],
)
def test_a_broken_message_that_nginx_cut_is_told_too(end: bytes) -> None:
    assert _victims(OPENED + GUESS % b"198.51.100.66" + end + b"\n") == []


def test_a_message_about_a_connection_alone_is_not_taken_for_a_cut_one() -> None:
    handshake = b"4 SSL_do_handshake() failed (SSL: error:0A00006C:x) while SSL handshaking, "
    line = HEAD + handshake + b"client: 203.0.113.5, server: 0.0.0.0:443\n"
    assert "203.0.113.7" in _victims(GUESS % b"203.0.113.7" + line)


def test_lines_out_of_reach_of_the_broken_message_still_count() -> None:
    before = GUESS % b"203.0.113.7" + (HEAD + b"3 nothing at all\n") * 50
    assert _victims(before + OPENED + GUESS % b"198.51.100.66" + LAST % b"") == ["203.0.113.7"]


def test_lines_behind_the_broken_message_count() -> None:
    assert _victims(OPENED + LAST % b"" + GUESS % b"203.0.113.7") == ["203.0.113.7"]


def test_both_readings_agree_on_broken_messages() -> None:
    data = (OPENED + GUESS % b"198.51.100.66" + LAST % b"" + GUESS % b"203.0.113.7") * 20
    matcher, block = _matcher(), Block("x", data, 0.0)
    assert matcher.events(block) == matcher.plain(block)


def test_mending_keeps_the_number_and_place_of_lines() -> None:
    data = GUESS % b"203.0.113.7" + OPENED + GUESS % b"198.51.100.66" + LAST % b""
    mended = Breaks([library.load("nginx")]).mended(data)
    assert len(mended) == len(data)
    assert mended.count(b"\n") == data.count(b"\n")
    assert mended.endswith(LAST % b"")


def test_without_such_a_rule_nothing_is_touched() -> None:
    data = OPENED + LAST % b""
    assert Breaks([library.load("sshd")]).mended(data) is data


def test_a_line_in_the_name_of_a_mariadb_user_counts_for_nothing_and_its_author_counts() -> None:
    head = b"2026-11-23  5:59:41 7 [Warning] Access denied for user '"
    tail = b"' (using password: YES)\n"
    first = head + b"a'@'198.51.100.66" + tail
    data = first + head + b"b'@'198.51.100.66" + tail + b"c'@'203.0.113.5" + tail
    matcher = Matcher([(library.load("mysql"), ())])
    assert [event.address for event in matcher.events(Block("x", data, 0.0))] == ["203.0.113.5"]
    genuine = head + b"'@'203.0.113.7" + tail + head + b"root'@'2001:db8::5" + tail
    found = matcher.events(Block("x", genuine, 0.0))
    assert [event.address for event in found] == ["203.0.113.7", "2001:db8::5"]
