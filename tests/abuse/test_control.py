# Hostile clients of the control socket: cut in time, and nobody else waits for them.
import asyncio
import contextlib
import resource
import socket
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from pyfilter.control.answers import StatusAnswer
from pyfilter.control.client import Client
from pyfilter.control.operations import Operations
from pyfilter.control.place import Place
from pyfilter.control.protocol import LONGEST_REQUEST
from pyfilter.control.requests import AskStatus
from pyfilter.control.server import MOST_CLIENTS, PATIENCE, Server
from pyfilter.errors import NotRunningError
from small_office import SmallOffice

SHORT = 0.3  # seconds of patience in these tests


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    place = Place(tmp_path / "run")
    server = Server(Operations(SmallOffice()), place, patience=SHORT)
    await server.open()
    yield place
    await server.close()
    place.close()


def connected(place: Place) -> socket.socket:
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    client.connect(str(place.socket_path))  # blocking: waits while the queue is full
    client.settimeout(10)
    return client


def until_cut(client: socket.socket) -> bytes:
    """Read until the server hangs up."""
    said = b""
    with contextlib.suppress(ConnectionError):
        while part := client.recv(65536):
            said += part
    return said


def served(place: Place) -> bool:
    with Client(place.socket_path, timeout=10) as client:
        return client.ask(AskStatus(), StatusAnswer).name == "web01"


def test_the_patience_is_five_seconds_at_most() -> None:
    assert PATIENCE <= 5


@pytest.fixture
def many_files() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 4096 if hard == resource.RLIM_INFINITY else min(4096, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.usefixtures("many_files")
async def test_a_thousand_silent_clients_keep_nobody_out(place: Place) -> None:
    def crowd() -> tuple[bool, list[bytes]]:
        with contextlib.ExitStack() as stack:
            clients = [stack.enter_context(connected(place)) for _ in range(1000)]
            answered = served(place)
            return answered, [until_cut(client) for client in clients]

    answered, said = await asyncio.to_thread(crowd)
    assert answered
    assert not any(said)


async def test_a_byte_now_and_then_is_cut(place: Place) -> None:
    def drip() -> bool:
        with connected(place) as client:
            deadline = time.monotonic() + 10
            while time.monotonic() < deadline:
                try:
                    client.sendall(b" ")
                    time.sleep(SHORT / 10)
                except ConnectionError:
                    return True
        return False

    assert await asyncio.to_thread(drip)


async def test_an_endless_line_is_cut_and_not_kept(place: Place) -> None:
    def flood() -> int:
        sent = 0
        with connected(place) as client, contextlib.suppress(ConnectionError):
            while sent < 1 << 30:
                sent += client.send(b"x" * 65536)
        return sent

    assert await asyncio.to_thread(flood) < 8 * LONGEST_REQUEST
    assert await asyncio.to_thread(served, place)


@pytest.mark.parametrize(
    "line",
    [
        b"{\n",
        b"\xff\xfe\n",
        b"null\n",
        b'{"do":"rm"}\n',
        b'{"do":"hello","version":"one"}\n',
        b'{"do":"hello","shell":"sh"}\n',
        b"[" * 100_000 + b"\n",
        b'{"do":"status"}\n',  # without a hello
    ],
)
async def test_what_is_no_request_is_told_so_and_cut(place: Place, line: bytes) -> None:
    def say() -> bytes:
        with connected(place) as client:
            client.sendall(line)
            return until_cut(client)

    assert b'"is":"refusal"' in await asyncio.to_thread(say)


async def test_who_takes_no_answers_is_cut(place: Place) -> None:
    def deaf() -> bool:
        with connected(place) as client, contextlib.suppress(ConnectionError):
            client.sendall(b'{"do":"hello"}\n')
            deadline = time.monotonic() + 10
            while time.monotonic() < deadline:
                client.sendall(b'{"do":"status"}\n' * 1000)
            return False
        return True

    assert await asyncio.to_thread(deaf)


async def test_clients_are_bounded(place: Place) -> None:
    def fill() -> int:
        with contextlib.ExitStack() as stack:
            clients = [stack.enter_context(connected(place)) for _ in range(MOST_CLIENTS + 5)]
            cut = 0
            for client in clients[:5]:
                client.settimeout(SHORT / 2)
                with contextlib.suppress(TimeoutError):
                    until_cut(client)
                    cut += 1
            return cut

    assert await asyncio.to_thread(fill) == 5


def served_by_now(place: Place) -> bool:
    try:
        return served(place)
    except NotRunningError:
        return False


async def test_hanging_up_in_the_middle_frees_the_place(place: Place) -> None:
    def hang_up() -> None:
        for _ in range(3 * MOST_CLIENTS):
            with connected(place) as client:
                client.sendall(b'{"do":"hello"}\n{"do":"follow"}\n')

    await asyncio.to_thread(hang_up)
    async with asyncio.timeout(5):  # until the server has seen that they are gone
        while not await asyncio.to_thread(served_by_now, place):
            await asyncio.sleep(0.02)
