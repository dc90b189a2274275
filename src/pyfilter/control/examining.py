# The rules' own samples through the running daemon: does it still read what it should?
import asyncio

from pyfilter.control.answers import ExaminedAnswer
from pyfilter.control.office import Office
from pyfilter.visible import visible

_AT_ONCE = 20  # samples between two turns of the event loop


async def examined(office: Office) -> ExaminedAnswer:
    """Return how many samples were read, and which of them wrongly."""
    wrong, samples = [], 0
    for finding in office.examine():
        samples += 1
        if finding:
            wrong.append(visible(finding))
        if samples % _AT_ONCE == 0:
            await asyncio.sleep(0)  # a log may have something to say
    return ExaminedAnswer(samples, wrong)
