from pyfilter import detection
from pyfilter.addresses import Address, Network
from pyfilter.model import AT_ONCE, Event, Limits

HOST = Network("203.0.113.7")


def failure(
    at: float,
    *,
    weight: float = 1.0,
    pid: str = "",
    port: str = "",
    echo: bool = False,
    host: str = HOST,
) -> Event:
    return Event(
        "sshd", Address(host), at, weight, line=b"line at %d" % at, pid=pid, port=port, echo=echo
    )


def test_five_failures_within_findtime_are_one_offence_with_its_evidence() -> None:
    detector = detection.open(Limits(maxretry=5, findtime=60))
    events = [failure(at) for at in (0, 15, 30, 45, 60)]
    (offence,) = detector.observe(events)
    assert offence.subject == HOST
    assert offence.at == 60
    assert offence.evidence == tuple(events)
    assert len(detector) == 0


def test_failures_outside_findtime_do_not_add_up() -> None:
    detector = detection.open(Limits(maxretry=2, findtime=60))
    assert detector.observe([failure(0), failure(60.5), failure(121)]) == []
    assert detector.score(HOST) == 1


def test_the_count_restarts_after_an_offence() -> None:
    detector = detection.open(Limits(maxretry=2))
    assert len(detector.observe([failure(at) for at in range(5)])) == 2
    assert detector.score(HOST) == 1


def test_an_attempt_counts_once_however_many_lines_it_leaves() -> None:
    detector = detection.open(Limits(maxretry=5))
    detector.observe([failure(1, pid="7", port="4000", echo=True)])
    detector.observe([failure(1, pid="7", port="4000")])
    detector.observe([failure(2, pid="7", port="4000", echo=True)])
    assert detector.score(HOST) == 1


def test_two_failures_of_one_connection_are_two() -> None:
    detector = detection.open(Limits(maxretry=5))
    detector.observe([failure(1, port="4000"), failure(2, port="4000")])
    detector.observe([failure(2, port="4000", echo=True)])
    assert detector.score(HOST) == 2


def test_interleaved_connections_are_kept_apart() -> None:
    detector = detection.open(Limits(maxretry=9))
    for step, echo in enumerate((True, False, True)):
        detector.observe([failure(step, port=str(port), echo=echo) for port in range(4000, 4004)])
    assert detector.score(HOST) == 4


def test_the_pid_tells_connections_apart_where_a_port_is_unknown() -> None:
    detector = detection.open(Limits(maxretry=9))
    detector.observe([failure(1, pid="7", port="4000")])
    detector.observe([failure(1, pid="7", echo=True), failure(1, pid="8", echo=True)])
    assert detector.score(HOST) == 2


def test_a_weight_that_bans_at_once_is_an_offence_by_itself() -> None:
    detector = detection.open(Limits(maxretry=5))
    (offence,) = detector.observe([failure(1, weight=AT_ONCE)])
    assert [event.weight for event in offence.evidence] == [AT_ONCE]


def test_a_login_is_not_counted() -> None:
    detector = detection.open(Limits(maxretry=1))
    assert detector.observe([failure(1, weight=0)]) == []
    assert len(detector) == 0


def test_tenths_add_up_exactly() -> None:
    detector = detection.open(Limits(maxretry=1))
    assert len(detector.observe([failure(at, weight=0.1) for at in range(10)])) == 1


def test_ipv6_is_counted_by_its_64() -> None:
    detector = detection.open(Limits(maxretry=5))
    offences = detector.observe([failure(1, host=f"2001:db8::{n:x}") for n in range(1, 6)])
    assert [offence.subject for offence in offences] == ["2001:db8::/64"]
    assert offences[0].evidence[0].address == "2001:db8::1"


def test_a_late_event_counts_within_the_window_of_the_newest() -> None:
    detector = detection.open(Limits(maxretry=5, findtime=60))
    detector.observe([failure(100), failure(50), failure(39)])
    assert detector.score(HOST) == 2


def test_what_is_dropped_is_counted_anew() -> None:
    detector = detection.open(Limits(maxretry=2))
    detector.observe([failure(1)])
    detector.drop(HOST)
    assert detector.observe([failure(2)]) == []
