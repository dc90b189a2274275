# How a session with Redis ends: told to, or broken in whichever way.
import asyncio
import logging

from pyfilter.fleet.store import Store

_log = logging.getLogger(__name__)


def text(error: BaseException) -> str:
    return str(error) or type(error).__name__


def leaving() -> bool:
    """Say whether this task was cancelled, even if a library on the way has swallowed that."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def innermost(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


async def closed(store: Store) -> None:
    try:
        async with asyncio.timeout(1):
            await store.close()
    except Exception as error:  # noqa: BLE001 - a connection that is broken may break in any way
        _log.debug("Fleet: closing: %s", error)
