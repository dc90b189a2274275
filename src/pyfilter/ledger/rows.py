# Decisions as rows and back, the same for writing and reading.
from collections.abc import Sequence
from typing import Any

import msgspec

from pyfilter.addresses import Address, Network
from pyfilter.model import Ban, Decision, Event, Release

LINES = 20  # events of evidence that are kept of a ban
LONGEST = 500  # bytes of a line
USER = 200  # characters of a user name

# kind, subject, at, until, reason, rule, strike, origin, person, observe, evidence
Row = tuple[Any, ...]


def to_row(decision: Decision) -> Row:
    """Return the columns of a decision behind its number."""
    who, origin, by = decision.subject, text(decision.origin), text(decision.by)
    if isinstance(decision, Release):
        return ("release", who, decision.at, None, text(decision.cause), "", 0, origin, by, 0, None)
    why = text(decision.reason), decision.rule, decision.strike
    seen = decision.observe, pack(decision.evidence)
    return ("ban", who, decision.since, decision.until, *why, origin, by, *seen)


def from_row(row: Row) -> Decision:
    """Return the decision of the columns behind its number."""
    kind, subject, at, until, reason, rule, strike, origin, by, observe, evidence = row
    if kind == "release":
        return Release(Network(subject), at, reason, origin, by)
    events = unpack(evidence)
    network = Network(subject)
    return Ban(network, at, until, reason, rule, strike, origin, by, bool(observe), events)


def pack(evidence: Sequence[Event]) -> bytes | None:
    """Return the newest events, lines cut, as bytes; None for none."""
    if not evidence:
        return None
    return _ENCODER.encode([bounded(event) for event in evidence[-LINES:]])


def unpack(packed: bytes | None) -> tuple[Event, ...]:
    """Return the events of `pack`; none where another version wrote them in another form."""
    if packed is None:
        return ()
    try:
        return tuple([Event(*fields) for fields in _DECODER.decode(packed)])
    except (msgspec.MsgspecError, TypeError):
        return ()


def bounded(event: Event) -> Row:
    """Return the fields of an event as they take little room and can be written."""
    line, user = event.line, event.user
    if len(line) > LONGEST:
        line = line[:LONGEST]
    if len(user) > USER or not user.isascii():
        user = text(user[:USER])
    connection = event.pid, event.port, event.echo
    return (event.rule, event.address, event.at, event.weight, user, line, event.kind, *connection)


def text(any_text: str) -> str:
    """Return text that can be written as UTF-8; what cannot shows as an escape."""
    if any_text.isascii():
        return any_text
    return any_text.encode("utf-8", "backslashreplace").decode()


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(
    list[tuple[str, Address, float, float, str, bytes, str, str, str, bool]]
)
