# How much of a source is read at once, by what its blocks cost.
import asyncio
from time import thread_time

from pyfilter.sources.lines import BLOCK
from pyfilter.sources.pace import FEWEST, TURN, Pace


def work(seconds: float) -> None:
    until = thread_time() + seconds
    while thread_time() < until:
        pass


async def test_portions_grow_while_blocks_are_cheap_and_more_waits() -> None:
    pace, seen = Pace(), []
    for _ in range(8):
        seen.append(pace.portion)
        pace.start()
        await pace.rest(pace.portion, 0)
    assert seen == sorted(seen)
    assert pace.portion == BLOCK


async def test_portions_shrink_to_what_is_worked_on_in_a_turn() -> None:
    pace = Pace()
    before = pace.portion
    pace.start()
    work(2 * TURN)
    await pace.rest(before, 0)
    assert FEWEST <= pace.portion < before


async def test_what_waits_for_little_begins_anew_with_small_blocks() -> None:
    pace = Pace()
    first = pace.portion
    for size in (first, 2 * first, 100):
        pace.start()
        await pace.rest(size, 0)
    assert pace.portion == first


async def test_others_work_between_two_blocks() -> None:
    pace, came = Pace(), []

    async def other() -> None:
        for _ in range(3):
            came.append("turn")
            await asyncio.sleep(0)

    task = asyncio.create_task(other())
    pace.start()
    await pace.rest(pace.portion, 0)
    assert came == ["turn"] * 3
    await task


async def test_a_flood_that_is_kept_up_with_gathers_for_a_moment() -> None:
    pace, loop = Pace(), asyncio.get_running_loop()
    began = loop.time()
    for lines in (1, 100, 150):
        pace.start()
        await pace.rest(100, lines)
    calm = loop.time() - began
    pace.start()
    await pace.rest(100, 200)
    assert loop.time() - began > calm + 0.009
