# Opens Redis in whichever form it runs: one server, Sentinel, Cluster; TCP, TLS, Unix socket.
from typing import Any
from urllib.parse import urlsplit

from pyfilter.errors import FleetError

CONNECT_WITHIN = 2.0  # seconds
ANSWER_WITHIN = 3.0  # seconds; a stopped Redis is noticed by then


def open_client(
    redis: str,
    *,
    sentinels: tuple[str, ...] = (),
    master: str = "",
    cluster: bool = False,
    ca_file: str = "",
    patient: bool = False,
) -> Any:
    """Return an asyncio client of redis-py; a `patient` one waits for answers without end.

    Raises FleetError when the URL is none. Nothing is connected yet.
    """
    from redis import asyncio as aio  # noqa: PLC0415 - 12 MB that only a fleet needs
    from redis.asyncio.sentinel import Sentinel  # noqa: PLC0415

    options = _options(ca_file if redis.startswith("rediss:") else "", patient=patient)
    try:
        if sentinels:
            places = [_place(sentinel) for sentinel in sentinels]
            secrets = _secrets(redis)
            watchers: Any = Sentinel
            found = watchers(places, sentinel_kwargs=dict(options), **options, **secrets)
            return found.master_for(master)
        if cluster:
            del options["retry"]  # a Cluster is asked again when it moves our keys
            return aio.RedisCluster.from_url(redis, **options)
        return aio.Redis.from_url(redis, **options)
    except ValueError as error:
        raise FleetError(f"[fleet] redis is no address of a Redis server: {error}") from None


def _options(ca_file: str, *, patient: bool) -> dict[str, Any]:
    from redis.asyncio.retry import Retry  # noqa: PLC0415
    from redis.backoff import NoBackoff  # noqa: PLC0415

    options: dict[str, Any] = {
        "retry": Retry(NoBackoff(), 0),  # who is away is asked again by a new session
        "socket_connect_timeout": CONNECT_WITHIN,
        "socket_timeout": None if patient else ANSWER_WITHIN,
    }
    return {**options, "ssl_ca_certs": ca_file} if ca_file else options


def _place(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit():
        raise FleetError(f"[fleet] sentinels: {text!r} is not HOST:PORT")
    return host.strip("[]"), int(port)


def _secrets(redis: str) -> dict[str, Any]:
    """Return user, password and database that a URL carries for the master behind Sentinel."""
    if not redis:
        return {}
    url = urlsplit(redis)
    found: dict[str, Any] = {"username": url.username, "password": url.password}
    if url.path.strip("/").isdigit():
        found["db"] = int(url.path.strip("/"))
    if url.scheme == "rediss":
        found["ssl"] = True
    return {name: value for name, value in found.items() if value is not None}
