# What lies in Redis: a stream of records and a snapshot, the newest record of every subject.
from collections.abc import AsyncIterator, Sequence
from secrets import token_hex
from typing import Any

from pyfilter.fleet.record import Record, seal

MOST_STREAMED = 100_000  # records kept for those who read on; who was away takes the snapshot
_TOMBSTONE = 7 * 86400.0  # seconds for which a release is remembered
_PAGE = 1000

# One subject's record replaces an older one, and a ban one that ends sooner; only what replaced
# something is streamed. ARGV: three a record - subject, "KIND AT END", sealed record.
_PUT = """
local put = 0
for i = 1, #ARGV, 3 do
  local old = redis.call('HGET', KEYS[1], ARGV[i])
  local newer = true
  if old then
    local k, a, e = string.match(old, '^(%S+) (%S+) (%S+) ')
    local nk, na, ne = string.match(ARGV[i+1], '^(%S+) (%S+) (%S+)$')
    a, e, na, ne = tonumber(a), tonumber(e), tonumber(na), tonumber(ne)
    if k == 'ban' and nk == 'ban' then
      newer = ne > e or e < na
    elseif k then
      newer = na > a or (na == a and nk == 'release')
    end
  end
  if newer then
    redis.call('HSET', KEYS[1], ARGV[i], ARGV[i+1] .. ' ' .. ARGV[i+2])
    redis.call('XADD', KEYS[2], 'MAXLEN', '~', '%d', '*', 'r', ARGV[i+2])
    put = put + 1
  end
end
return put
""".replace("%d", str(MOST_STREAMED))

_FOR_EVER = 9e15  # stands for "no end" where only numbers can be compared


class Store:
    """The fleet's keys in one Redis; one hash tag keeps them together in a Cluster."""

    def __init__(self, client: Any, patient: Any, prefix: str, key: bytes) -> None:
        self.client, self.patient, self._key = client, patient, key
        base = f"{prefix}{{fleet}}:"
        self.bans, self.stream, self.epoch = f"{base}bans", f"{base}stream", f"{base}epoch"
        self.servers = f"{base}servers"

    async def newest(self) -> bytes:
        """Return the place in the stream behind which news will come."""
        found = await self.client.xrevrange(self.stream, count=1)
        return bytes(found[0][0]) if found else b"0-0"

    async def put(self, records: Sequence[Record]) -> None:
        """Publish records, each unless the snapshot holds a newer one of its subject."""
        arguments: list[bytes | str] = []
        for record in records:
            end = min(record.end(), _FOR_EVER)
            arguments += [record.subject, f"{record.kind} {record.at:.6f} {end:.6f}"]
            arguments.append(seal(record, self._key))
        await self.client.eval(_PUT, 2, self.bans, self.stream, *arguments)

    async def snapshot(self) -> AsyncIterator[list[bytes]]:
        """Yield the sealed records of the snapshot, a page at a time."""
        cursor: int = 0
        while True:
            cursor, page = await self.client.hscan(self.bans, cursor, count=_PAGE)
            yield [value.split(b" ", 3)[3] for value in page.values() if value.count(b" ") > 3]
            if not cursor:
                return

    async def tidy(self, now: float) -> None:
        """Take out of the snapshot what has ended."""
        cursor: int = 0
        while True:
            cursor, page = await self.client.hscan(self.bans, cursor, count=_PAGE)
            over = [subject for subject, value in page.items() if _over(value, now)]
            if over:
                await self.client.hdel(self.bans, *over)
            if not cursor:
                return

    async def news(self, after: bytes) -> list[tuple[bytes, bytes]]:
        """Wait for records behind a place; return (place, sealed record) in order."""
        found = await self.patient.xread({self.stream: after}, count=_PAGE, block=0)
        entries = found.values() if isinstance(found, dict) else (row[1] for row in found)
        return [
            (bytes(place), fields.get(b"r", b""))
            for page in entries
            for place, fields in _flat(page)
        ]

    async def present(self, name: str, now: float) -> tuple[str, dict[str, float]]:
        """Say that we are here; return the epoch of the data and when each server was seen.

        The epoch is drawn anew when the data are: a Redis that was flushed has another one.
        """
        pipe = self.client.pipeline(transaction=False)
        pipe.hset(self.servers, name, f"{now:.3f}")
        pipe.set(self.epoch, token_hex(8), nx=True)
        pipe.get(self.epoch)
        pipe.hgetall(self.servers)
        _, _, found, seen = await pipe.execute()
        servers = {name.decode(errors="replace"): _number(at) for name, at in seen.items()}
        return (found or b"").decode(errors="replace"), servers

    async def close(self) -> None:
        for client in (self.client, self.patient):
            await client.aclose()


def _flat(page: Any) -> Any:
    """Return the entries of one stream, which a newer protocol wraps in one more list."""
    return page[0] if page and isinstance(page[0], list) and isinstance(page[0][0], tuple) else page


def _over(value: bytes, now: float) -> bool:
    kind, at, end, *_ = [*value.split(b" ", 3), b"", b"", b""]
    limit = _number(at) + _TOMBSTONE if kind == b"release" else _number(end)
    return limit < now


def _number(text: bytes) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0
