# journalctl's JSON -> lines as `-o short-unix` prints them, each entry one line, with its cursor.
from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import Struct, field

from pyfilter.sources.lines import MAX_LINE

FIELDS = "MESSAGE,SYSLOG_IDENTIFIER,SYSLOG_PID,_PID,_COMM,_HOSTNAME"


class Entry(Struct, frozen=True, gc=False):
    """One entry of the journal; times in microseconds."""

    cursor: str = field(name="__CURSOR")
    realtime: str = field(name="__REALTIME_TIMESTAMP")
    monotonic: str = field(name="__MONOTONIC_TIMESTAMP", default="0")
    boot: str = field(name="_BOOT_ID", default="")
    message: Any = field(name="MESSAGE", default="")
    identifier: Any = field(name="SYSLOG_IDENTIFIER", default=None)
    pid: Any = field(name="_PID", default=None)
    syslog_pid: Any = field(name="SYSLOG_PID", default=None)
    command: Any = field(name="_COMM", default=None)
    host: Any = field(name="_HOSTNAME", default=None)

    @property
    def time(self) -> int:
        """Return microseconds since the epoch, as journald received the entry."""
        return int(self.realtime)


_decoder = msgspec.json.Decoder(Entry)


def decode_entries(lines: bytes) -> list[Entry]:
    """Return the entries of whole lines; what is no entry is left out."""
    try:
        return _decoder.decode_lines(lines)
    except msgspec.MsgspecError:
        return list(_decode_each(lines.split(b"\n")))


def _decode_each(lines: Iterable[bytes]) -> Iterable[Entry]:
    for line in lines:
        try:
            yield _decoder.decode(line)
        except msgspec.MsgspecError:
            continue


def as_line(entry: Entry) -> bytes:
    """Return `TIME HOST TAG[PID]: MESSAGE`; nothing for a message above MAX_LINE bytes.

    Line breaks within a message become `#012`, as rsyslog writes them: no sender can make his
    text look like a line of its own.
    """
    second, micro = divmod(entry.time, 1_000_000)
    tag = _plain(entry.identifier) or _plain(entry.command) or b"unknown"
    pid = _plain(entry.pid) or _plain(entry.syslog_pid)
    head = b"%d.%06d %s %s" % (second, micro, _plain(entry.host) or b"localhost", tag)
    message = _plain(entry.message)
    if len(message) > MAX_LINE:
        return b""
    return b"%s[%s]: %s\n" % (head, pid, message) if pid else b"%s: %s\n" % (head, message)


def _plain(value: Any) -> bytes:
    """Return a field's bytes: text, a list of byte values, or the first of several values."""
    if isinstance(value, str):
        text = value.encode()
    elif isinstance(value, list) and value and not isinstance(value[0], int):
        return _plain(value[0])
    elif isinstance(value, list):
        text = bytes(byte & 0xFF for byte in value if isinstance(byte, int))
    else:
        return b""
    return text.rstrip(b"\n").replace(b"\n", b"#012") if b"\n" in text else text
