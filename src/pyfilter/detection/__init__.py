# Detection: counts events into offences. Pure: time comes from the events.
from pyfilter.detection.detector import EventDetector
from pyfilter.detection.streak import Streak
from pyfilter.detection.table import Room
from pyfilter.detection.window import Window
from pyfilter.interfaces import Detector
from pyfilter.model import Limits


def open(limits: Limits, room: Room | None = None) -> Detector:
    """Return a detector for one rule; detectors given the same `room` share its memory."""
    counting = (
        Streak(limits.request_time) if limits.counting == "streak" else Window(limits.findtime)
    )
    return EventDetector(limits, counting, room if room is not None else Room())


__all__ = ["Room", "open"]
