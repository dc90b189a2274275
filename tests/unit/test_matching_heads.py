# matching/heads: what stands before a message is learnt as a whole where one reader alone knows it.
import re

import pytest

from pyfilter.matching import library
from pyfilter.matching.emit import emit
from pyfilter.matching.heads import Head, form_of, head_of, heading, kind_of, tree_of
from pyfilter.matching.reading import Reader

SSHD, SUDO, PAM = (Reader(library.load(name)) for name in ("sshd", "sudo", "pam"))


@pytest.mark.parametrize(
    ("line", "form", "rest"),
    [
        (b"Nov 22 05:21:20 web sshd[811]: hello", "L", " web sshd"),
        (b"<86>Nov  2 05:21:20 WEB sshd-session[811]: [x", "L", " WEB sshd-session"),
        (b"2026-11-22T05:21:20.123456+00:00 web.example.net sshd[811]: hello", "I", " web.example.net sshd"),
        (b"1763875280.123456 2001:db8::5 /usr/sbin/sshd[811]: hello", "E", " 2001:db8::5 /usr/sbin/sshd"),
        (b"sshd[811]: hello", "", "sshd"),
    ],
)  # fmt: skip
def test_a_head_is_a_stamp_and_a_text(line: bytes, form: str, rest: str) -> None:
    assert form_of(line) == form
    assert head_of(line, {0: SUDO, 1: SSHD}) == Head((1,), form, rest)
    expression = heading([Head((1,), form, rest)], {"pid", "time"})
    found = re.match(expression, line.decode())
    assert found
    assert found["pid"] == "811"
    assert line[found.end() :] in (b"hello", b"[x")


@pytest.mark.parametrize(
    "line",
    [
        b"Nov 22 05:21:20 web CRON[811]: hello",
        b"Nov 22 05:21:20 web sshd: hello",
        b"<86>1 2026-11-22T05:21:20Z web sshd 811 - - hello",
        b"Nov 22 05:21:20 web sshd[811]: [ID 800047 auth.info] hello",
        b"2026-11-22T05:21:20 UTC sshd[811]: hello",  # a zone or a host?
        b"2026-11-22T05:21:20Z UTC sshd[811]: hello",
        b"2026-11-22T05:21:20Z +03 sshd[811]: hello",
        b"2026-11-22T05:21:20Z stdout F Nov 22 05:21:20 web sshd[811]: hello",
        b"[Nov 22 05:21:20] web sshd[811]: hello",
        b"web-1  | Nov 22 05:21:20 web sshd[811]: hello",
        b"Nov 22 05:21:20 web nginx: sshd[811]: hello",
        b"",
    ],
)
def test_other_lines_have_no_head(line: bytes) -> None:
    found = head_of(line, {0: SSHD})
    assert found is None or found.rest == " sshd"


def test_a_head_may_be_that_of_several_rules() -> None:
    head = head_of(b"Nov 22 05:21:20 web sshd[811]: hello", {0: SSHD, 1: SUDO, 2: PAM})
    assert head == Head((0, 2), "L", " web sshd")


@pytest.mark.parametrize(
    ("line", "rest"),
    [
        (b"Nov 22 05:21:20 web sshd[811]: ", " * sshd"),
        (b"Nov 22 05:21:20 mail.example.net auth.info sshd-session[7]: ", " * * sshd-session"),
        (b"<86>2026-11-22T05:21:20+01:00 sshd[1]: ", " sshd"),
        (b"sshd[811]: ", "sshd"),
    ],
)
def test_a_kind_of_head_stands_for_all_hosts(line: bytes, rest: str) -> None:
    head = head_of(line, {0: SSHD})
    assert head is not None
    kind = kind_of(head)
    assert kind.rest == rest
    other = line.replace(b" web ", b" db01 ").replace(b"mail.", b"imap.")
    for text in (line, other):
        assert re.fullmatch(emit(tree_of(kind)).encode("latin-1"), text)
