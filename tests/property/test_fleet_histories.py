# Whatever happens to three members and their Redis: when all are back, they hold the same.
import asyncio
import time
from collections.abc import Callable, Iterator
from itertools import count

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import Struct

from pyfilter.addresses import Network
from pyfilter.fleet import member
from pyfilter.fleet.link import open_client
from small_fleet import Server, fleet, real_redis

SUBJECTS = [Network("203.0.113.13"), Network("198.51.100.0/24"), Network("2001:db8:0:1::/64")]
PREFIXES = count()
PATIENCE = 20.0


class Step(Struct, frozen=True):
    """One thing that happens: to a server, or to Redis."""

    what: str
    server: int
    subject: Network
    seconds: float


steps = st.lists(
    st.builds(
        Step,
        st.sampled_from(["ban"] * 4 + ["release"] * 3 + ["stop", "start", "flush", "hold", "wait"]),
        st.integers(0, 2),
        st.sampled_from(SUBJECTS),
        st.sampled_from([600.0, 600.0, 6000.0]),
    ),
    max_size=30,
)


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with real_redis(tmp_path_factory.mktemp("redis")) as url:
        yield url


class World:
    """Three servers, and what they should agree on."""

    def __init__(self, url: str) -> None:
        self.url, prefix = url, f"{next(PREFIXES)}:"
        self.servers = [Server(f"web0{number}", url, prefix) for number in range(3)]

    async def happens(self, step: Step) -> None:
        server = self.servers[step.server]
        match step.what:
            case "ban":
                server.ban(step.subject, step.seconds)
            case "release":
                server.release(step.subject)
            case "stop":
                await server.stop()
            case "start" if not server.runs:
                server.start()
            case "flush" | "hold":
                client = open_client(self.url)
                if step.what == "flush":
                    await client.flushall()
                else:
                    await client.client_pause(30)
                await client.aclose()
        await asyncio.sleep(0.02 if step.what == "wait" else 0.001)

    def held(self) -> list[dict[str, tuple[float, float | None]]]:
        return [
            {subject: (ban.since, ban.until) for subject, ban in one.bans.items()}
            for one in self.servers
        ]

    def agree(self) -> bool:
        one, two, three = self.held()
        return one == two == three and all(
            each.member.health == "ok" and not each.member.state()["waiting"]
            for each in self.servers
        )


async def eventually(true: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + PATIENCE
    while not true():
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(0.01)
    return True


async def lives(url: str, history: list[Step]) -> World:
    world = World(url)
    async with fleet(*world.servers):
        for step in history:
            await world.happens(step)
        for one in world.servers:
            if not one.runs:
                one.start()
        assert await eventually(world.agree), world.held()
    return world


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    derandomize=True,
)
@given(steps)
def test_members_agree_after_any_history(
    redis: str, monkeypatch: pytest.MonkeyPatch, history: list[Step]
) -> None:
    for name, seconds in {"HEARTBEAT": 0.1, "_AGAIN": 0.02, "_REST": 0.005, "_SOON": 0.2}.items():
        monkeypatch.setattr(member, name, seconds)
    asyncio.run(lives(redis, history))
