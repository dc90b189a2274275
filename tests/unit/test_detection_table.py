import gc
import subprocess
import sys

from pyfilter import detection
from pyfilter.addresses import Address, Network
from pyfilter.detection.evidence import LONGEST
from pyfilter.detection.table import EVENTS, FEWEST, STEP
from pyfilter.interfaces import Detector
from pyfilter.model import Event, Limits

ROOM = 2 * STEP


def host(number: int) -> Address:
    return Address(f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}")


def crowd(first: int, count: int, at: float = 1000.0) -> list[Event]:
    return [
        Event("sshd", host(n), at, pid=str(n), port="4000") for n in range(first, first + count)
    ]


def small(maxretry: int = 5) -> Detector:
    return detection.open(Limits(maxretry=maxretry), detection.Room(ROOM))


def test_no_more_subjects_are_counted_than_there_is_room_for() -> None:
    detector = small()
    detector.observe(crowd(0, 3 * ROOM))
    assert 0 < len(detector) <= ROOM


def test_the_oldest_are_dropped_first() -> None:
    detector = small()
    detector.observe(crowd(0, 3 * ROOM))
    assert detector.score(Network(host(0))) == 0
    assert detector.score(Network(host(3 * ROOM - 1))) == 1


def test_a_subject_close_to_its_limit_outlives_any_crowd() -> None:
    detector = small()
    detector.observe([Event("sshd", host(10**6), 1000.0 + n) for n in range(4)])
    detector.observe(crowd(0, 5 * ROOM))
    assert detector.score(Network(host(10**6))) == 4
    (offence,) = detector.observe([Event("sshd", host(10**6), 1100.0)])
    assert [event.at for event in offence.evidence] == [1000, 1001, 1002, 1003, 1100]
    assert offence.evidence[0].line == b""


def test_even_if_all_are_close_to_the_limit_there_is_no_more_than_room() -> None:
    detector = small(maxretry=2)
    detector.observe(crowd(0, 5 * ROOM))
    assert 0 < len(detector) <= ROOM


def test_many_marks_of_a_subject_take_their_room_too() -> None:
    room = detection.Room(ROOM)
    detector = detection.open(Limits(maxretry=50), room)
    for at in range(5):
        detector.observe(crowd(0, ROOM, float(at)))
    assert 0 < len(detector) < ROOM
    assert sum(table.size() for table in room.tables) <= room.bytes


def test_detectors_share_a_room_and_the_largest_gives_way() -> None:
    room = detection.Room(ROOM)
    large, little = detection.open(Limits(), room), detection.open(Limits(), room)
    little.observe(crowd(0, 100))
    large.observe(crowd(0, 3 * ROOM))
    assert len(little) == 100
    assert len(large) + len(little) <= ROOM


def test_what_is_forgotten_is_gone_and_the_rest_stays() -> None:
    detector = small()
    detector.observe(crowd(0, 1000, at=1000.0) + crowd(0, 10, at=1001.0))
    detector.observe(crowd(5000, 1000, at=2000.0))
    detector.forget(1001.0)
    assert len(detector) == 1010
    detector.forget(2000.5)
    assert len(detector) == 0


def test_forgetting_goes_by_bounded_pieces() -> None:
    detector = detection.open(Limits(), detection.Room(3 * ROOM))
    detector.observe(crowd(0, 3 * ROOM))
    detector.forget(2000)
    assert 0 < len(detector) < 3 * ROOM


def test_evidence_is_bounded_and_lines_are_cut() -> None:
    detector = small(maxretry=10**6)
    line = b"x" * 10_000
    odd = Event("web", host(1), 1.0, user="u" * 10_000, line=line)
    for _ in range(30):
        detector.observe([odd] * (EVENTS // 10))
    remembered = detector.recent(Network(host(1)))
    assert EVENTS // 4 <= len(remembered) <= 2 * EVENTS
    assert {len(event.line) for event in remembered} == {LONGEST}
    assert max(len(event.user) for event in remembered) <= LONGEST


def test_many_rules_share_what_evidence_is_remembered() -> None:
    room = detection.Room(ROOM)
    detectors = [detection.open(Limits(maxretry=10**6), room) for _ in range(60)]
    for detector in detectors:
        detector.observe([Event("web", host(1), 1.0)] * EVENTS)
    assert {len(each.recent(Network(host(1)))) for each in detectors} == {2 * FEWEST}


def test_a_detector_that_is_given_up_leaves_its_room() -> None:
    room = detection.Room(ROOM)
    detector = detection.open(Limits(), room)
    assert room.tables
    del detector
    gc.collect()
    assert not room.tables


MILLION = """
import resource
from pyfilter import detection
from pyfilter.model import Event, Limits

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

detector, before = detection.open(Limits()), peak()
for start in range(0, 1_200_000, 4000):
    detector.observe([
        Event("sshd", f"{n >> 16 & 255}.1{n >> 14 & 3}7.1{n >> 7 & 127}.2{n & 127}"[:15], 1.7e9 + start,
              line=b"x" * 100, pid=str(n), port=str(n % 60000))
        for n in range(start, start + 4000)
    ])
print(len(detector), peak() - before)
"""


def test_a_million_addresses_take_at_most_200_bytes_each() -> None:
    run = subprocess.run(
        [sys.executable, "-c", MILLION], capture_output=True, text=True, check=True, timeout=100
    )
    subjects, grown = map(int, run.stdout.split())
    assert subjects > 900_000
    assert grown / 1_000_000 <= 220  # the dict's own growth spurt included
