# What one server tells the others: a small signed record, refused when anything in it is odd.
import hashlib
import hmac
from typing import Literal

import msgspec
from msgspec import Struct

from pyfilter.addresses import network, parsed
from pyfilter.errors import AddressError, FleetError
from pyfilter.model import Ban, Decision, Release

LARGEST = 2048  # bytes of a record
WIDEST = {4: 24, 6: 48}  # shorter prefixes would take innocent neighbours along
NAME_SHORTEST, NAME_LONGEST = 1, 253  # characters of a server's name
AHEAD = 300.0  # seconds by which a peer's clock may be ahead of ours
REASON = 200  # characters


class Record(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One decision as it travels; `number` grows with every record of a server."""

    kind: Literal["ban", "release", "allow", "disallow"]
    server: str
    number: int
    subject: str
    at: float
    until: float | None = None
    reason: str = ""
    rule: str = ""
    strike: int = 1
    origin: str = ""  # the server that decided, when another one passes it on

    def end(self) -> float:
        """Return when it ceases to matter, in seconds since the epoch; 0 for a release."""
        if self.kind in {"release", "disallow"}:
            return 0.0
        return float("inf") if self.until is None else self.until


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Record)


def told(decision: Decision, server: str, number: int) -> Record:
    """Return what the other servers are told of a decision."""
    if isinstance(decision, Release):
        return Record("release", server, number, decision.subject, decision.at)
    return Record(
        "ban",
        server,
        number,
        decision.subject,
        decision.since,
        decision.until,
        decision.reason[:REASON],
        decision.rule,
        decision.strike,
        "" if decision.origin in {"operator", server} else decision.origin,
    )


def meant(record: Record) -> Decision:
    """Return the decision that a peer's record asks for."""
    subject = network(record.subject)
    if record.kind == "release":
        return Release(subject, record.at, "fleet", record.server)
    return Ban(
        subject,
        record.at,
        record.until,
        record.reason,
        record.rule,
        max(1, record.strike),
        record.origin or record.server,
    )


def seal(record: Record, key: bytes) -> bytes:
    """Return the bytes that travel: signature (hex; empty without a key), a space, the record."""
    body = _encoder.encode(record)
    return signature(body, key) + b" " + body


def signature(body: bytes, key: bytes) -> bytes:
    """Return the HMAC-SHA256 (RFC 2104) of a record in hex; empty without a key."""
    return hmac.new(key, body, hashlib.sha256).hexdigest().encode() if key else b""


def proved(sealed: bytes, key: bytes, longest: int = LARGEST) -> bytes:
    """Return what was sealed; raises FleetError when it is too long or not signed by the key."""
    if len(sealed) > longest:
        raise FleetError("a record is too long")
    signed, _, body = sealed.partition(b" ")
    if key and not hmac.compare_digest(signed, signature(body, key)):
        raise FleetError("a record is not signed with the fleet's key")
    return body


def unseal(sealed: bytes, key: bytes, now: float) -> Record:
    """Return a peer's record; raises FleetError with the reason why it is refused."""
    body = proved(sealed, key)
    try:
        record = _decoder.decode(body)
        subject = network(record.subject)
    except (msgspec.DecodeError, AddressError) as error:
        raise FleetError(f"a record is malformed: {error}") from None
    if subject != record.subject:
        raise FleetError("a record's address is not in canonical form")
    if not NAME_SHORTEST <= len(record.server) <= NAME_LONGEST:
        raise FleetError("a record names no server")
    if record.at > now + AHEAD:
        raise FleetError("a record is dated in the future: set the clocks by NTP")
    net = parsed(subject)
    if record.kind in {"ban", "allow"} and net.prefixlen < WIDEST[net.version]:
        raise FleetError(f"a record {record.kind}s a network wider than /{WIDEST[net.version]}")
    return record
