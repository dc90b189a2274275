from pyfilter import detection
from pyfilter.addresses import Address, Network
from pyfilter.interfaces import Detector
from pyfilter.model import Event, Limits

HOST = Network("203.0.113.7")


def failure(at: float, port: str = "", *, echo: bool = False) -> Event:
    return Event("ssh", Address("203.0.113.7"), at, port=port, echo=echo)


def streak() -> Detector:
    return detection.open(Limits(maxretry=5, counting="streak", request_time=5))


def test_five_failures_each_within_request_time_of_the_one_before_are_an_offence() -> None:
    (offence,) = streak().observe([failure(at) for at in (0, 5, 10, 15, 20)])
    assert offence.at == 20
    assert [event.at for event in offence.evidence] == [0, 5, 10, 15, 20]


def test_four_are_none() -> None:
    assert streak().observe([failure(at) for at in (0, 5, 10, 15)]) == []


def test_a_longer_gap_starts_anew() -> None:
    detector = streak()
    assert detector.observe([failure(at) for at in (0, 5, 10, 15, 20.5, 25, 30, 35)]) == []
    assert detector.score(HOST) == 4
    assert len(detector.observe([failure(40)])) == 1


def test_there_is_no_window_that_a_streak_could_outgrow() -> None:
    slow = detection.open(Limits(maxretry=50, counting="streak", request_time=100, findtime=10))
    assert len(slow.observe([failure(at * 100.0) for at in range(50)])) == 1


def test_an_attempt_of_several_lines_counts_once() -> None:
    detector = streak()
    for attempt in range(4):
        port = str(4000 + attempt)
        detector.observe([failure(attempt, port, echo=True), failure(attempt, port)])
        detector.observe([failure(attempt + 0.5, port, echo=True)])
    assert detector.score(HOST) == 4


def test_a_line_that_comes_late_neither_breaks_nor_loses_the_streak() -> None:
    detector = streak()
    detector.observe([failure(10), failure(8), failure(12), failure(2)])
    assert detector.score(HOST) == 3
