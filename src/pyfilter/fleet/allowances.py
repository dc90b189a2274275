# Allowlist entries that the whole fleet shares: the newest word on each, kept as it was sealed.
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress

import msgspec
from msgspec import Struct

from pyfilter.errors import FleetError, PyfilterError
from pyfilter.fleet.record import Record, unseal
from pyfilter.model import Allowance

_log = logging.getLogger(__name__)
_MOST = 1000
_kept = msgspec.json.Decoder(dict[str, str])


class Ledge(Struct, frozen=True):
    """What shared allowances need of their server."""

    allow: Callable[[Allowance], object]
    disallow: Callable[[str], object]
    recall: Callable[[], str]
    remember: Callable[[str], None]


class Allowances:
    """Holds what the fleet allows; local entries are none of its business."""

    def __init__(self, ledge: Ledge, key: bytes, now: float) -> None:
        self._ledge, self._key = ledge, key
        self._records: dict[str, tuple[Record, bytes]] = {}
        with suppress(msgspec.DecodeError):
            for sealed in _kept.decode(ledge.recall() or "{}").values():
                with suppress(FleetError):  # sealed with a key of before
                    record = unseal(sealed.encode(), key, now)
                    self._records[record.subject] = (record, sealed.encode())

    def take(self, record: Record, sealed: bytes, now: float) -> None:
        """Follow a record if it is the newest of its entry; raises FleetError when it is refused."""
        if not self._key:
            raise FleetError("only a fleet with a key shares its allowlist")
        known = self._records.get(record.subject)
        if known and known[0].at >= record.at:
            return
        if known is None and len(self._records) >= _MOST:
            raise FleetError(f"a fleet shares at most {_MOST} entries of the allowlist")
        if record.kind == "allow" and record.end() <= now:
            return
        self._records[record.subject] = (record, sealed)
        try:
            if record.kind == "allow":
                note, by = record.reason, record.server
                self._ledge.allow(Allowance(record.subject, record.until, note, by))
            else:
                self._ledge.disallow(record.subject)
        except PyfilterError as error:
            _log.warning("Fleet: %s is protected, yet not remembered: %s", record.subject, error)
        self._save()

    def _save(self) -> None:
        kept = {entry: sealed.decode() for entry, (_, sealed) in self._records.items()}
        self._ledge.remember(msgspec.json.encode(kept).decode())

    def lacking(self, held: Mapping[str, float], now: float) -> Iterator[tuple[Record, bytes]]:
        """Yield what Redis does not have or has only older; forget what is over."""
        for entry, (record, sealed) in list(self._records.items()):
            if record.kind == "allow" and record.end() <= now:
                del self._records[entry]
            elif held.get(entry, 0.0) < record.at:
                yield record, sealed
