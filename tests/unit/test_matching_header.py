# Every form of header that syslog daemons, journalctl and log drivers write, and what is none.
import time
from datetime import UTC, datetime

import pytest

from pyfilter.matching import library
from pyfilter.matching.header import compile_header, read_header, tag_texts
from pyfilter.matching.matcher import Matcher
from pyfilter.matching.rule import Rule
from pyfilter.matching.timestamps import Stamps
from pyfilter.model import Block, Event

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC).timestamp()
AT = datetime(2026, 11, 22, 5, 21, 20, tzinfo=UTC).timestamp()
RULES = {
    name: library.load(name)
    for name in ("sshd", "dropbear", "dovecot", "named", "postfix", "vsftpd", "proftpd", "mysql")
}
SSHD, DROPBEAR = RULES["sshd"], RULES["dropbear"]
MATCHERS = {name: Matcher([(rule, ())]) for name, rule in RULES.items()}
FAILED = "Failed password for root from 192.0.2.1 port 22 ssh2"

# What stands before TAG[PID]: MESSAGE, by who writes it. No time: the form says none.
TIMED = (
    "Nov 22 05:21:20 web ",  # rsyslog RSYSLOG_TraditionalFileFormat, sysklogd, syslog-ng ${DATE}
    "Nov 22 05:21:20 ",  # busybox syslogd -S
    "2026-11-22T05:21:20.123456+00:00 web.example.net ",  # rsyslog RSYSLOG_FileFormat
    "2026-11-22T00:21:20-05:00 web ",  # syslog-ng ${ISODATE}, journalctl -o short-iso
    "2026-11-22T05:21:20+0000 web ",  # journalctl -o short-iso before systemd 255
    "2026-11-22T05:21:20.123Z web ",  # OpenBSD syslogd -Z
    "<38>Nov 22 05:21:20 web ",  # rsyslog RSYSLOG_TraditionalForwardFormat
    "<38>2026-11-22T05:21:20.123456+00:00 web ",  # rsyslog RSYSLOG_ForwardFormat
    "2026 Nov 22 05:21:20 web ",  # syslog-ng ${FULLDATE}
    "2026 Nov 22 05:21:20.123 src@relay/web ",  # syslog-ng frac-digits(3), chain-hostnames(yes)
    "Nov 22 05:21:20.123456 web ",  # journalctl -o short-precise
    "Nov 22 05:21:20,123 web ",
    "2026-11-22 05:21:20 web ",
    "2026-11-22 05:21:20,123 +00:00 web ",
    "Nov 22 2026 05:21:20 web ",
    "Nov 22 05:21:20 web auth.info ",  # busybox syslogd
    "Nov 22 05:21:20 <auth.info> web ",  # FreeBSD and NetBSD syslogd -vv
    "Nov 22 05:21:20 <4.6> web ",  # and -v
    "Nov 22 05:21:20 web auth|security:info ",  # AIX
    "2026-11-22T05:21:20.123Z In(38) ",  # ESXi
    "Sun Nov 22 05:21:20 2026 authpriv.warn ",  # OpenWrt logread
    "Sun Nov 22 05:21:20 2026 [1795324880.123] authpriv.warn ",  # and with -t
    "Sun 2026-11-22 05:21:20 UTC web ",  # journalctl -o short-full
    "Sun 2026-11-22 08:21:20 +03 web ",  # in one of the zones that have no name
    "Sun 2026-11-22 10:51:20.123456 +0530 web ",
    "1795324880.123456 web ",  # journalctl -o short-unix
    "Nov 22 05:21:20 2001:db8::5 ",
    "2026-11-22T05:21:20.123456789Z Nov 22 05:21:20 web ",  # docker logs -t
    "2026-11-22T05:21:20.123456789Z ",
    "2026-11-22T05:21:20.123456789Z stdout F Nov 22 05:21:20 web ",  # a Kubernetes log (CRI)
    "2026-11-22T05:21:20.123456789Z stderr F ",
    "ssh-1  | Nov 22 05:21:20 web ",  # docker compose logs
    "work_ssh_1 | 2026-11-22T05:21:20.123456789Z Nov 22 05:21:20 web ",  # and with -t
    "2026-11-22_05:21:20.12345 ",  # runit's svlogd -tt
    "[2026-11-22 05:21:20] ",
    "[Nov 22 05:21:20] web ",
)
UNTIMED = (
    "",
    "<38>",
    "ssh-1  | ",
    "[ 1234.567890] web ",  # journalctl -o short-monotonic
    "[12345.678901 <    0.123456 >] web ",  # and short-delta
    "[12345.678901                ] web ",  # and its first line
    "@4000000065f0c1d23b9aca00 ",  # daemontools, s6, svlogd -t
)
# RFC 5424, which has PID and tag in places of their own
MODERN = (
    "<38>1 2026-11-22T05:21:20.123456+00:00 web sshd {} - - ",
    "<38>1 2026-11-22T05:21:20Z web sshd {} - -  ",  # rsyslog RSYSLOG_SyslogProtocol23Format
    "<38>1 2026-11-22T05:21:20Z web /usr/sbin/sshd {} - - \ufeff",
    '<38>1 2026-11-22T05:21:20Z web sshd {} ID47 [a@1 x="1"][timeQuality tzKnown="1"] ',
    '<38>1 2026-11-22T05:21:20Z web sshd {} - [a@1 x="\\]" y="\\""] ',
    "1 2026-11-22T05:21:20Z web sshd {} - - ",
)


def events(rule: Rule, line: str) -> list[Event]:
    """Return what nine such lines mean, which must be nine times the same, in bulk too."""
    block = Block("test", f"{line}\n".encode() * 9, NOW, live=False)
    matcher = MATCHERS[rule.name]
    found = matcher.events(block)
    assert found == matcher.plain(block)
    assert found == found[:1] * len(found)
    return found[:1]


@pytest.mark.parametrize("pid", ["811", ""])
@pytest.mark.parametrize("head", TIMED + UNTIMED)
def test_every_daemons_header_is_read(head: str, pid: str) -> None:
    tag = f"sshd[{pid}]: " if pid else "sshd: "
    (event,) = events(SSHD, f"{head}{tag}{FAILED}")
    assert (event.address, event.user, event.pid) == ("192.0.2.1", "root", pid)
    stamp = read_header(compile_header(SSHD.tags), f"{head}{tag}".encode())
    assert stamp is not None
    at = Stamps(UTC)(stamp.stamp, NOW)
    assert (at is None) == (head in UNTIMED)
    assert at is None or int(at) == AT


@pytest.mark.parametrize("head", TIMED + UNTIMED)
def test_a_line_rule_is_read_behind_every_header(head: str) -> None:
    text = "dropbear[7]: Bad password attempt for 'root' from 192.0.2.1:40000"
    (event,) = events(DROPBEAR, f"{head}{text}")
    assert (event.address, event.pid) == ("192.0.2.1", "7")


@pytest.mark.parametrize("pid", ["811", ""])
@pytest.mark.parametrize("head", MODERN)
def test_a_header_of_rfc_5424_is_read(head: str, pid: str) -> None:
    (event,) = events(SSHD, f"{head.format(pid or '-')}{FAILED}")
    assert (event.address, event.user, event.pid) == ("192.0.2.1", "root", pid)


@pytest.mark.parametrize("head", ["Nov 22 05:21:20 [sshd] ", "2026-11-22 05:21:20 [sshd] "])
def test_metalog_writes_the_tag_in_brackets(head: str) -> None:
    (event,) = events(SSHD, f"{head}{FAILED}")
    assert (event.address, event.pid) == ("192.0.2.1", "")


def test_a_unit_stands_for_the_tag_in_journalctls_with_unit() -> None:
    head = "Sun 2026-11-22 05:21:20 UTC web {}[811]: " + FAILED
    assert events(SSHD, head.format("ssh.service"))
    assert events(SSHD, head.format("user@1000.service/ssh.service")) == []
    assert events(SSHD, head.format("cron.service")) == []


FORGED = f"sshd[811]: {FAILED}"


@pytest.mark.parametrize(
    "line",
    [
        FAILED,  # sshd -e: a client can write lines of its own there
        f"Nov 22 05:21:20 web nginx[7]: {FORGED}",
        f"Nov 22 05:21:20 web nginx: {FORGED}",
        f"Nov 22 05:21:20 [nginx] {FORGED}",
        f"Nov 22 05:21:20 [nginx] [sshd] {FAILED}",
        f"x Nov 22 05:21:20 web {FORGED}",
        f"Nov 22 05:21:20 web shop | {FORGED}",
        f"shop | shop | {FORGED}",
        f"shop-1  | GET / {FORGED}",
        f"2026-11-22T05:21:20Z stdout P {FAILED}",
        f"2026-11-22T05:21:20Z stdout F visitor said {FORGED}",
        f"Nov 22 05:21:20 Nov 22 05:21:20 Nov 22 05:21:20 {FORGED}",
        f"Nov 22 05:21:20 web kernel: [ 12.345678] {FORGED}",
        f"[ 12.345678] [ 12.345678] {FORGED}",
        f"[error] {FORGED}",
        f"<38>1 2026-11-22T05:21:20Z web nginx 7 - - {FORGED}",
        f"<38>1 2026-11-22T05:21:20Z web nginx 7 sshd 811 - - {FAILED}",
        f'<38>1 2026-11-22T05:21:20Z web sshd 7 - [a x="\\"] {FAILED}',
        f'<38>1 2026-11-22T05:21:20Z web sshd 7 - [a x="y"] [b x="y"] {FAILED}',
    ],
)
def test_what_others_write_is_no_header(line: str) -> None:
    assert events(SSHD, line) == []


@pytest.mark.parametrize("head", TIMED + UNTIMED)
@pytest.mark.parametrize(
    ("name", "tag", "text"),
    [
        (
            "dovecot",
            "dovecot: ",
            "imap-login: Disconnected (auth failed, 1 attempts): user=<x>, rip=192.0.2.1, lip=::",
        ),
        (
            "named",
            "named[7]: ",
            "client @0x7f 192.0.2.1#4000 (x.example): query (cache) 'x.example/A/IN' denied",
        ),
        (
            "mysql",
            "mariadbd[7]: ",
            "Access denied for user 'bob'@'192.0.2.1' (using password: YES)",
        ),
        ("vsftpd", "vsftpd[7]: ", '[bob] FAIL LOGIN: Client "192.0.2.1"'),
        (
            "proftpd",
            "proftpd[7]: ",
            "192.0.2.9 (a.example[192.0.2.1]): USER bob (Login failed): Incorrect password",
        ),
        (
            "postfix",
            "postfix/smtps/smtpd[7]: ",
            "warning: unknown[192.0.2.1]: SASL LOGIN authentication failed: UGFzc3dvcmQ6",
        ),
    ],
)
def test_mail_and_names_are_read_behind_every_header(
    head: str, name: str, tag: str, text: str
) -> None:
    (event,) = events(RULES[name], f"{head}{tag}{text}")
    assert event.address == "192.0.2.1"


@pytest.mark.parametrize("name", library.names())
def test_every_header_holds_one_of_its_texts(name: str) -> None:
    rule = RULES[name] if name in RULES else library.load(name)
    texts = tag_texts(rule.tags, rule.journal)
    assert not texts or "*" not in rule.tags
    for sample in rule.samples:
        line = sample.line.encode("utf-8", "surrogateescape")
        header = read_header(compile_header(rule.tags, rule.journal), line) if rule.tags else None
        assert not header or not texts or any(text in line for text in texts)


@pytest.mark.parametrize("name", ["pam", "cyrus", "openvpn", "sshd"])
@pytest.mark.parametrize(
    "start", ["", "Nov 22 05:21:20 ", "Nov 22 05:21:20 web ", "<38>1 - - sshd - - "]
)
@pytest.mark.parametrize("run", ["/", "a/", "a", ":", " ", "[ 1.234", "[a]", "a.b ", '[a x="\\"'])
def test_no_line_makes_a_header_slow(name: str, start: str, run: str) -> None:
    rule = library.load(name)
    header = compile_header(rule.tags, rule.journal)
    line = (start + run * 65_536).encode()[:65_536]
    began = time.thread_time()
    read_header(header, line)
    assert time.thread_time() - began < 0.1  # promised: 10 ms a line; quadratic took minutes
