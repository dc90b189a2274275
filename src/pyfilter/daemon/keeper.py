# Keeps the kernel as the ledger says: on the bell, at the end of a ban and on a sweep.
import asyncio
import gc
import logging

from pyfilter.daemon.guard import Guard
from pyfilter.enforcer import Reconciler
from pyfilter.errors import FirewallError
from pyfilter.pipeline import Pipeline

_log = logging.getLogger(__name__)
SWEEP_EVERY = 30.0  # seconds; a lost notice of the kernel is made up for by then
_GENTLE = 20  # comparing in full may take a twentieth of the time
_PIECES = 16  # a sweep forgets in pieces of some milliseconds, with bans between them
_LITTER = 20  # sweeps until rubbish that survived the quick collections is looked for


class Keeper:
    """Wakes for a rung bell, an ended ban or a sweep, and for nothing else."""

    def __init__(self, reconciler: Reconciler, guard: Guard, pipeline: Pipeline) -> None:
        self._reconciler, self._guard, self._pipeline = reconciler, guard, pipeline
        self._enforcer = guard.enforcer
        self._wake = asyncio.Event()
        self._rested = 0.0  # loop time before which no full comparison starts
        self._sweeps = 0

    async def run(self) -> None:
        """Watch until cancelled."""
        loop = asyncio.get_running_loop()
        bell = self._enforcer.firewall.bell()
        if bell is not None:
            loop.add_reader(bell, self._ring)
        try:
            await self._watch(loop)
        finally:
            if bell is not None:
                loop.remove_reader(bell)

    def _ring(self) -> None:
        if self._enforcer.firewall.rung():
            self._wake.set()

    async def _watch(self, loop: asyncio.AbstractEventLoop) -> None:
        swept = loop.time()
        while True:
            rung = await self._sleep(min(swept + SWEEP_EVERY - loop.time(), self._until_an_end()))
            self._enforcer.expire()
            if rung:
                await asyncio.sleep(max(0.0, self._rested - loop.time()))
                self._wake.clear()
                await self.compare(loop)
            if loop.time() >= swept + SWEEP_EVERY:
                swept = loop.time()
                await self.sweep(loop)

    async def _sleep(self, seconds: float) -> bool:
        """Sleep, at most so long; say whether the bell rang."""
        try:
            async with asyncio.timeout(max(0.0, seconds)):
                await self._wake.wait()
        except TimeoutError:
            return False
        return True

    def _until_an_end(self) -> float:
        end = self._enforcer.next_end()
        return SWEEP_EVERY if end is None else end - self._enforcer.clock() + 0.001

    async def compare(self, loop: asyncio.AbstractEventLoop) -> None:
        """Mend the kernel in full, and rest in proportion to what that took."""
        began = loop.time()
        await self._reconciler.mend()
        self._rested = loop.time() + _GENTLE * (loop.time() - began)

    async def sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        """Retry what failed, look around, forget what is over, check the kernel."""
        self._guard.look_around()
        self._reconciler.retry()
        for _ in range(_PIECES):
            self._pipeline.forget(self._enforcer.clock())
            await asyncio.sleep(0)
        self._enforcer.tend()
        try:
            sound = self._reconciler.sound()
        except FirewallError as error:
            self._enforcer.complain(error)
            sound = False
        if not sound:
            await self.compare(loop)
        self._sweeps += 1
        if self._sweeps % _LITTER == 0:
            gc.collect()
