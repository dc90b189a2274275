# The detector against a plain model of what counting means, over random events.
from collections import defaultdict

from hypothesis import given
from hypothesis import strategies as st

from pyfilter import detection
from pyfilter.addresses import Address, Network
from pyfilter.detection.evidence import LINES
from pyfilter.model import AT_ONCE, Event, Limits, Offence

FINDTIME, REQUEST_TIME = 20.0, 4.0
Known = list[tuple[Event, float]]
Moment = tuple[float, str, str]
Brief = tuple[str, float, list[Moment]]


def moment(event: Event) -> Moment:
    return event.at, event.pid, event.port


def same_connection(one: Event, other: Event) -> bool:
    if one.port and other.port:
        return one.port == other.port
    return bool(one.pid) and one.pid == other.pid


def in_order(known: Known) -> Known:
    return sorted(known, key=lambda pair: pair[0].at)


class Model:
    """Counts one event after another in the plainest way."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.counted: defaultdict[str, Known] = defaultdict(list)

    def observe(self, event: Event) -> list[Brief]:
        """Return (subject, time, moments and connections of its events) of an offence."""
        if event.weight == 0:
            return []
        known = self.counted[event.address]
        if event.weight == AT_ONCE:
            known = in_order([*self.live(known, event), (event, AT_ONCE)])
        else:
            known = self.join(known, event)
        self.counted[event.address] = known
        if round(sum(weight for _, weight in known), 6) < self.limits.maxretry:
            return []
        del self.counted[event.address]
        return [(event.address, event.at, [moment(each) for each, _ in known])]

    def live(self, known: Known, event: Event) -> Known:
        newest = max([each.at for each, _ in known], default=event.at)
        now = max(newest, event.at)
        if self.limits.counting == "streak":
            return known if newest >= now - self.limits.request_time else []
        return [pair for pair in known if pair[0].at >= now - self.limits.findtime]

    def join(self, known: Known, event: Event) -> Known:
        newest = max([each.at for each, _ in known], default=event.at)
        if self.limits.counting == "window":
            floor = max(newest, event.at) - self.limits.findtime
            if event.at < floor:
                return known
            known = [(each, weight) for each, weight in known if each.at >= floor]
        elif event.at < newest - self.limits.request_time:
            return known
        weight = event.weight
        related = [pair for pair in known if same_connection(pair[0], event)]
        if related and event.echo:
            return known
        if related and all(each.echo for each, _ in related):
            weight = max(weight, related[0][1])
            known = [pair for pair in known if pair is not related[0]]
        if self.limits.counting == "streak" and newest < event.at - self.limits.request_time:
            known = []
        return in_order([*known, (event, weight)])


Steps = list[tuple[int, str, str, str, bool, float]]
limits = st.builds(
    Limits,
    maxretry=st.integers(1, 6),
    findtime=st.just(FINDTIME),
    request_time=st.just(REQUEST_TIME),
    counting=st.sampled_from(["window", "streak"]),
)
moments = st.lists(
    st.tuples(
        # eighths of a second since the one before: often none, seldom back in time
        st.just(0) | st.integers(-8, 40),
        st.sampled_from(["192.0.2.1", "192.0.2.2", "192.0.2.3"]),
        st.sampled_from(["", "7", "8"]),
        st.sampled_from(["", "4000", "4001", "4002"]),
        st.booleans(),
        st.sampled_from([1.0, 1.0, 1.0, 1.0, 1.0, 0.5, 0.1, 2.5, 0.0, AT_ONCE]),
    ),
    max_size=80,
)


def events_of(steps: Steps) -> list[Event]:
    at, events = 1_000_000.0, []
    for number, (step, host, pid, port, echo, weight) in enumerate(steps):
        at += step / 8
        line = b"%d" % number
        events.append(Event("r", Address(host), at, weight, "", line, "auth", pid, port, echo))
    return events


def brief(offence: Offence) -> Brief:
    return offence.subject, offence.at, [moment(each) for each in offence.evidence]


@given(limits, moments, st.integers(1, 30))
def test_offences_are_those_of_the_plain_model(case: Limits, steps: Steps, batch: int) -> None:
    detector, model, events = detection.open(case), Model(case), events_of(steps)
    for start in range(0, len(events), batch):
        some = events[start : start + batch]
        expected = [offence for event in some for offence in model.observe(event)]
        assert [brief(offence) for offence in detector.observe(some)] == expected


@given(limits, moments)
def test_evidence_is_the_subject_s_own_events_in_order(case: Limits, steps: Steps) -> None:
    events = events_of(steps)
    for offence in detection.open(case).observe(events):
        times = [event.at for event in offence.evidence]
        assert times == sorted(times)
        assert {Network(event.address) for event in offence.evidence} == {offence.subject}
        assert all(event in events for event in offence.evidence[-LINES:])


@given(limits, moments)
def test_the_size_of_batches_changes_nothing(case: Limits, steps: Steps) -> None:
    events = events_of(steps)
    one, many = detection.open(case), detection.open(case)
    assert one.observe(events) == [each for event in events for each in many.observe([event])]
    subjects = {Network(event.address) for event in events}
    assert [one.score(each) for each in subjects] == [many.score(each) for each in subjects]
