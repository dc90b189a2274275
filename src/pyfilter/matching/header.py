# Matching: what stands before the message of a syslog line. Liberal in its form, but anchored at
# the line's start: nothing an attacker writes, which comes behind the tag, is ever taken for it.
import re
from collections.abc import Iterable
from typing import NamedTuple

from pyfilter.matching.forms import STAMP

_NAME = r"[^\s\[\]()<>\"'=,;:]"  # of a host: an IPv6 address may hold colons, but not end in one
_TAG = r"[^\s:\[\]()]"  # runs are bounded: no line may make this slow
_HOST = rf"(?:(?:{_NAME}|:(?! )){{1,255}} )?"
_COMPOSE = r"(?:[\w.-]{1,128} {1,64}\| )?"  # docker compose logs: whose line it is
_PRIORITY = r"(?:<\d{1,3}>)?"
_CONTAINER = r"(?:std(?:out|err) [FP] )?"  # Kubernetes, behind its stamp
# journalctl -o short-monotonic and short-delta; logread -t of OpenWrt
_UPTIME = r"(?:\[ {0,9}\d{1,10}\.\d{3,9}(?: {1,24}| <[ .\d]{1,24}>)?\] )?"
# busybox: auth.info; AIX: auth|security:info; ESXi: In(38)
_LEVEL = r"[a-z0-9]{1,9}\.[a-z0-9]{1,9}"
_FACILITY = rf"(?:(?:{_LEVEL}|[a-z0-9|]{{1,20}}:[a-z]{{1,9}}|[A-Z][a-z]\(\d{{1,3}}\)) )?"
_BSD_FACILITY = rf"(?:<{_LEVEL}> )?"  # -v writes numbers, -vv names
_SOLARIS = rf"(?:\[ID \d{{1,10}} {_LEVEL}\] )?"
# RFC 5424: a value may hold `\]`, which does not end it
_VALUE = r'"[^"\\\]\n]*(?:\\.[^"\\\]\n]*)*"'
_DATA = rf'(?:-|(?:\[[^\s="\]]{{1,64}}(?: [^\s="\]]{{1,64}}={_VALUE}){{0,64}}\]){{1,32}})'
_REPEATED = re.compile(rb"message repeated (\d{1,6}) times: \[ ?(.*)\]", re.ASCII)
_UNITS = re.compile(r"_SYSTEMD_UNIT=(\S+\.service)")
_MOST_REPEATS = 100_000


class Header(NamedTuple):
    """What a syslog line says before its message."""

    stamp: bytes
    pid: bytes
    end: int  # where the message starts


def compile_header(tags: Iterable[str], journal: Iterable[str] = ()) -> re.Pattern[bytes]:
    """Return the expression for the headers of messages of some syslog tags (`*` = any run).

    The units that journal matches name stand for the tag in `journalctl -o with-unit`.
    """
    named = "|".join(re.escape(tag).replace(r"\*", rf"{_TAG}{{0,64}}") for tag in tags)
    units = "".join(f"|{re.escape(unit)}" for unit in _UNITS.findall(" ".join(journal)))
    tag = rf"(?:(?:{_TAG}{{0,128}}/)?(?:{named})(?:\([\w.-]{{1,64}}\))?{units})"
    classic = rf"{tag}(?:\[(?P<pid>\d{{1,10}})\])?: {_SOLARIS}"
    bare = rf"\[(?:{named})\] "  # metalog
    # A container's log has a stamp of its own before that of the message.
    stamp = rf"(?:\[?(?P<time>{STAMP})\]? {{1,9}}{_CONTAINER}(?:{STAMP} {{1,9}})?)?{_UPTIME}"
    modern = (  # rsyslog leaves the space before the message in it
        rf"1 (?:(?P<time5424>{STAMP})|-) \S{{1,255}} {tag} (?:(?P<pid5424>\d{{1,10}})|-) "
        rf"\S{{1,64}} {_DATA} (?:\xef\xbb\xbf)? ?"
    )
    head = rf"{stamp}(?:{bare}|{_BSD_FACILITY}{_HOST}{_FACILITY}{classic})|{modern}"
    return re.compile(f"{_COMPOSE}{_PRIORITY}(?:{head})".encode("latin-1"), re.ASCII)


def tag_texts(tags: Iterable[str], journal: Iterable[str] = ()) -> tuple[bytes, ...]:
    """Return texts of which every such header holds one; none if a tag may be anything."""
    named = [max(tag.split("*"), key=len) for tag in tags]
    texts = (*named, *_UNITS.findall(" ".join(journal)))
    return tuple(text.encode("latin-1") for text in texts) if all(texts) else ()


def read_header(expression: re.Pattern[bytes], line: bytes) -> Header | None:
    match = expression.match(line)
    if not match:
        return None
    stamp, pid, stamp_5424, pid_5424 = match.group("time", "pid", "time5424", "pid5424")
    return Header(stamp or stamp_5424 or b"", pid or pid_5424 or b"", match.end())


def unrepeated(message: bytes) -> tuple[bytes, int]:
    """Return (message, how often): rsyslog folds equal lines into `message repeated N times: […]`."""
    if message.startswith(b"message repeated ") and (match := _REPEATED.fullmatch(message)):
        return match[2], max(1, min(int(match[1]), _MOST_REPEATS))
    return message, 1
