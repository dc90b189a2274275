# What lies in Redis: a stream of records and a snapshot, the newest record of every subject.
from collections.abc import AsyncIterator, Sequence
from secrets import token_hex
from typing import Any

from pyfilter.fleet.record import LARGEST, Record, seal
from pyfilter.fleet.scripts import COUNTED, HERE, PAGE, PUT

MOST_STREAMED = 100_000  # records kept for those who read on; who was away takes the snapshot
MOST_COUNTED = 5_000  # batches of evidence
_TOMBSTONE = 7 * 86400.0  # seconds for which a release is remembered
_PAGE = 1000
_FEW, _MANY = 8, 1000  # entries that one read takes: few until they have proved small
_ROOM = 1 << 20  # bytes that one read may take
_FOR_EVER = 9e15  # stands for "no end" where only numbers can be compared


class Store:
    """The fleet's keys in one Redis; one hash tag keeps them together in a Cluster."""

    def __init__(self, client: Any, patient: Any, prefix: str, key: bytes) -> None:
        self.client, self.patient, self._key = client, patient, key
        base = f"{prefix}{{fleet}}:"
        self.bans, self.stream, self.epoch = f"{base}bans", f"{base}stream", f"{base}epoch"
        self.servers, self.counts = f"{base}servers", f"{base}counts"
        self.allowed = f"{base}allowed"
        self._most = _FEW

    async def newest(self) -> bytes:
        """Return the place in the stream behind which news will come."""
        found = await self.client.xrevrange(self.stream, count=1)
        return bytes(found[0][0]) if found else b"0-0"

    async def oldest(self) -> bytes:
        """Return the place of the oldest record that is still streamed."""
        found = await self.client.xrange(self.stream, count=1)
        return bytes(found[0][0]) if found else b"0-0"

    async def put(self, records: Sequence[Record], now: float) -> list[bytes]:
        """Publish records, each unless the snapshot holds a newer one; return those newer ones."""
        pairs = [(record, seal(record, self._key)) for record in records]
        return await self.put_sealed(self.bans, pairs, now)

    async def put_sealed(
        self, snapshot: str, pairs: Sequence[tuple[Record, bytes]], now: float
    ) -> list[bytes]:
        """Publish records as they were sealed, perhaps by another server, into one snapshot."""
        arguments: list[bytes | str] = [f"{now:.6f}", str(MOST_STREAMED)]
        for record, sealed in pairs:
            end = min(record.end(), _FOR_EVER)
            arguments += [record.subject, f"{record.kind} {record.at:.6f} {end:.6f}", sealed]
        return list(await self.client.eval(PUT, 2, snapshot, self.stream, *arguments))

    async def snapshot(self, name: str, now: float) -> AsyncIterator[list[bytes]]:
        """Yield the sealed records of a snapshot, a page at a time; what has ended goes."""
        cursor = b"0"
        bounds = (_PAGE, LARGEST, f"{now:.6f}", _TOMBSTONE)
        while True:
            cursor, *page = await self.client.eval(PAGE, 1, name, cursor, *bounds)
            yield page
            if cursor == b"0":
                return

    async def news(self, places: dict[str, bytes]) -> dict[str, list[bytes]]:
        """Wait for records behind the places of streams; move the places, return what came."""
        found = await self.patient.xread(dict(places), count=self._most, block=0)
        rows = found.items() if isinstance(found, dict) else found
        news: dict[str, list[bytes]] = {}
        for stream, page in rows:
            entries = _flat(page)
            name = stream.decode() if isinstance(stream, bytes) else stream
            places[name] = bytes(entries[-1][0])
            news[name] = [fields.get(b"r", b"") for _, fields in entries]
        size = sum(len(one) for page in news.values() for one in page)
        # Whoever may write to Redis may also write what is huge: then little is read at a time.
        full = any(len(page) >= self._most for page in news.values())
        more = min(2 * self._most, _MANY) if full else max(_FEW, self._most // 2)
        self._most = 1 if size > _ROOM else more
        return news

    async def add_count(self, sealed: bytes, since: float) -> None:
        """Send a batch of evidence; batches of before `since` may go."""
        oldest = max(0, int(since * 1000))
        await self.client.eval(COUNTED, 1, self.counts, MOST_COUNTED, sealed, oldest)

    async def present(self, name: str, said: str, *, all_servers: bool) -> list[bytes]:
        """Say that we are here.

        Returns the epoch of the data, what was last said by our name, then names and times of the
        servers. The epoch is drawn anew when the data are: a Redis that was flushed has another one.
        """
        wanted = "1" if all_servers else "0"
        keys = (self.servers, self.epoch)
        return list(await self.client.eval(HERE, 2, *keys, name, said, token_hex(8), wanted))

    async def close(self) -> None:
        for client in (self.client, self.patient):
            await client.aclose()


def _flat(page: Any) -> Any:
    """Return the entries of one stream, which a newer protocol wraps in one more list."""
    return page[0] if page and isinstance(page[0], list) and isinstance(page[0][0], tuple) else page
