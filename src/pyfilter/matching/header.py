# Matching: what stands before the message of a syslog line. Liberal in its form, but anchored at
# the line's start: nothing an attacker writes, which comes behind the tag, is ever taken for it.
import re
from collections.abc import Iterable
from typing import NamedTuple

from pyfilter.matching.forms import STAMP

_NAME = r"[^\s\[\]()<>\"'=,;:]"  # of a host: an IPv6 address may hold colons, but not end in one
_HOST = rf"(?:(?:{_NAME}|:(?! ))+ )?"
_PRIORITY = r"(?:<\d{1,3}>)?"
# busybox: auth.info; AIX: auth|security:info; ESXi: In(38)
_FACILITY = r"(?:(?:[a-z0-9]+\.[a-z]+|[a-z0-9|]+:[a-z]+|[A-Z][a-z]\(\d{1,3}\)) )?"
_BSD_FACILITY = r"(?:<[a-z0-9]+\.[a-z]+> )?"
_SOLARIS = r"(?:\[ID \d+ [a-z0-9]+\.[a-z]+\] )?"
_REPEATED = re.compile(rb"message repeated (\d{1,6}) times: \[ ?(.*)\]", re.ASCII)
_MOST_REPEATS = 100_000


class Header(NamedTuple):
    """What a syslog line says before its message."""

    stamp: bytes
    tag: bytes
    pid: bytes
    end: int  # where the message starts


def compile_header(tags: Iterable[str]) -> re.Pattern[bytes]:
    """Return the expression for the headers of messages of some syslog tags (`*` = any run)."""
    named = "|".join(re.escape(tag).replace(r"\*", r"[^\s:\[\]()]*") for tag in tags)
    tag = rf"(?:[^\s:\[\]()]*/)?(?P<tag>{named})(?:\([\w.-]+\))?"
    classic = rf"{tag}(?:\[(?P<pid>\d{{1,10}})\])?: {_SOLARIS}"
    modern = rf"{tag} (?:(?P<pid5424>\d{{1,10}})|-) \S+ (?:-|(?:\[[^\]\n]*\])+) (?:\xef\xbb\xbf)?"
    stamp = rf"(?:(?P<time>{STAMP}) +)?"
    return re.compile(
        (
            rf"{_PRIORITY}(?:{stamp}{_BSD_FACILITY}{_HOST}{_FACILITY}{classic}"
            rf"|1 (?:(?P<time5424>{STAMP})|-) \S+ " + modern.replace("<tag>", "<tag5424>") + ")"
        ).encode("latin-1"),
        re.ASCII,
    )


def read_header(expression: re.Pattern[bytes], line: bytes) -> Header | None:
    match = expression.match(line)
    if not match:
        return None
    stamp, tag, pid, stamp_5424, tag_5424, pid_5424 = match.group(
        "time", "tag", "pid", "time5424", "tag5424", "pid5424"
    )
    return Header(stamp or stamp_5424 or b"", tag or tag_5424, pid or pid_5424 or b"", match.end())


def unrepeated(message: bytes) -> tuple[bytes, int]:
    """Return (message, how often): rsyslog folds equal lines into `message repeated N times: […]`."""
    if message.startswith(b"message repeated ") and (match := _REPEATED.fullmatch(message)):
        return match[2], max(1, min(int(match[1]), _MOST_REPEATS))
    return message, 1
