# The data of the original PyFilter, as bans: its SQLite base and its hashes in Redis.
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from msgspec import Struct

from pyfilter.addresses import Network, address
from pyfilter.errors import AddressError, RefusedError
from pyfilter.model import Ban
from pyfilter.visible import visible

if TYPE_CHECKING:
    from redis import Redis

_STAMP = "%Y-%m-%d %H:%M:%S"  # local time, as the original writes it
_MAGIC = b"SQLite format 3\0"
_BATCH = 500
_PATIENCE = 5.0  # seconds for Redis to answer
_LONGEST = 200  # characters of a reason or a name


class Taken(Struct, frozen=True):
    """What was found: bans for ever, and what could not be taken, one line each."""

    bans: tuple[Ban, ...]
    notes: tuple[str, ...] = ()


class _Found(Struct, frozen=True):
    """One entry as the original stored it."""

    ip: str
    banned: str = ""
    server: str = ""
    reason: str = ""


def is_base(path: Path) -> bool:
    """Say whether a file is an SQLite base."""
    with path.open("rb") as file:
        return file.read(len(_MAGIC)) == _MAGIC


def from_sqlite(path: Path, now: float) -> Taken:
    """Return the bans of `banned_ip`; the base is only read. Raises RefusedError."""
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True)) as base:
            base.row_factory = sqlite3.Row
            base.text_factory = lambda raw: raw.decode("utf-8", "replace")
            return _taken((_row(row) for row in base.execute("SELECT * FROM banned_ip")), now)
    except sqlite3.Error as error:
        raise RefusedError(f"{path}: holds no bans of the original PyFilter: {error}") from None


def from_redis(url: str, now: float) -> Taken:
    """Return the bans of a Redis; nothing there is changed. Raises RefusedError."""
    import redis  # noqa: PLC0415 # slow to load, seldom needed

    try:
        with closing(
            redis.Redis.from_url(
                url,
                socket_timeout=_PATIENCE,
                socket_connect_timeout=_PATIENCE,
                decode_responses=True,
                encoding_errors="replace",
            )
        ) as client:
            return _taken(_hashes(client), now)
    except (redis.RedisError, OSError, ValueError) as error:
        raise RefusedError(f"the bans in Redis cannot be read: {error}") from None


def _row(row: sqlite3.Row) -> _Found:
    fields: dict[str, Any] = {key: row[key] for key in row.keys()}  # noqa: SIM118 # a Row is no dict
    return _Found(
        ip=str(fields.get("ip") or ""),
        banned=str(fields.get("time_banned") or ""),
        server=str(fields.get("server_name") or ""),
        reason=str(fields.get("log_msg") or ""),
    )


def _hashes(client: "Redis") -> Iterator[_Found]:
    batch: list[str] = []
    for key in client.scan_iter(count=_BATCH):
        if _is_address(key):
            batch.append(key)
        if len(batch) == _BATCH:
            yield from _fetched(client, batch)
            batch = []
    yield from _fetched(client, batch)


def _fetched(client: "Redis", keys: list[str]) -> Iterator[_Found]:
    pipe = client.pipeline(transaction=False)
    for key in keys:
        pipe.hgetall(key)
    for key, fields in zip(keys, pipe.execute(raise_on_error=False), strict=True):
        yield hash_of(key, fields if isinstance(fields, dict) else {})


def hash_of(ip: str, fields: Mapping[str, str]) -> _Found:
    """Return an entry of Redis: the time stands under the name of the server that banned."""
    server = fields.get("banned_server", "")
    known = {"reason", "banned_server", "country"}
    names = [name for name in fields if name not in known]
    server = server or (names[0] if names else "")
    return _Found(ip, fields.get(server, ""), server, fields.get("reason", ""))


def _is_address(text: str) -> bool:
    try:
        address(text)
    except AddressError:
        return False
    return True


def _taken(found: Iterator[_Found], now: float) -> Taken:
    bans: dict[Network, Ban] = {}
    notes: list[str] = []
    for entry in found:
        try:
            subject = Network(address(entry.ip.strip()))
        except AddressError:
            notes.append(f"{visible(entry.ip, _LONGEST)!r} is no IP address: left out")
            continue
        since = _moment(entry.banned)
        if since is None or since > now:
            notes.append(f"{subject}: banned at an unknown time: taken as banned now")
            since = now
        reason = visible(entry.reason.strip(), _LONGEST) or "taken over from the original PyFilter"
        server = visible(entry.server, _LONGEST)
        bans.setdefault(subject, Ban(subject, since, None, reason, origin=server))
    return Taken(tuple(bans.values()), tuple(notes))


def _moment(text: str) -> float | None:
    try:
        return time.mktime(time.strptime(text.split(".", maxsplit=1)[0], _STAMP))
    except (ValueError, OverflowError):
        return None
