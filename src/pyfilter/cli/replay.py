# Old logs through the daemon's own pipeline: who would have been banned, when, and what it spared.
import time
from collections import Counter
from collections.abc import Collection, Container, Iterator, Mapping, Sequence
from heapq import heappop, heappush
from itertools import groupby
from typing import BinaryIO

from msgspec import Struct
from msgspec.structs import replace

from pyfilter import detection
from pyfilter.addresses import Address, Network
from pyfilter.detection.prefixes import subject
from pyfilter.matching.bulk import Spare
from pyfilter.matching.matcher import Matcher
from pyfilter.model import Ban, Block, Event, History
from pyfilter.pipeline import Pipeline, Watch
from pyfilter.protection import Protection
from pyfilter.settings.tree import RuleSettings

BLOCK = 1 << 20  # bytes
_STEP = 30.0  # seconds of the log between two looks at which bans have ended


class Report(Struct):
    """What came of a replay."""

    lines: int = 0
    failures: int = 0
    through: int = 0  # failures before or between bans
    first: float | None = None
    last: float | None = None
    bans: list[Ban] = []
    by_rule: Counter[str] = Counter()  # failures
    logins: dict[Address, float] = {}  # the first of each address

    def banned(self) -> set[Network]:
        return {ban.subject for ban in self.bans}


class Standing:
    """The bans in force at the moment that the replay has come to."""

    def __init__(self) -> None:
        self._until: dict[str, float | None] = {}
        self._lasting: dict[str, float | None] = {}
        self._ends: list[tuple[float, Network]] = []
        self._histories: dict[Network, History] = {}
        self.now = 0.0

    def __contains__(self, who: object) -> bool:
        if who not in self._until:
            return False
        until = self._until[str(who)]
        if until is None or until > self.now:
            return True
        del self._until[str(who)]
        return False

    def beyond(self, end: float) -> Container[str]:
        """Return who is banned at least until a time."""
        while self._ends and self._ends[0][0] <= end:
            until, subject = heappop(self._ends)
            if self._lasting.get(subject) == until:
                del self._lasting[subject]
        return self._lasting

    def add(self, ban: Ban) -> None:
        self._until[ban.subject] = self._lasting[ban.subject] = ban.until
        self._histories[ban.subject] = History(ban.strike, ban.since)
        if ban.until is not None:
            heappush(self._ends, (ban.until, ban.subject))

    def histories(self, _: Collection[Network]) -> Mapping[Network, History]:
        return self._histories


class Replay:
    """Runs the rules of one policy over logs; memory stays flat but for the bans."""

    def __init__(self, rules: Sequence[RuleSettings], ignoreip: Sequence[str] = ()) -> None:
        self.report = Report(bans=[], by_rule=Counter(), logins={})
        self._matcher = Matcher([(rule.rule, rule.rule.kinds) for rule in rules])
        self._standing = Standing()
        self._pipeline = Pipeline("replay", self._standing, self._standing.histories)
        room = detection.Room()
        self._pipeline.watches = {
            rule.rule.name: Watch(
                rule.limits,
                detection.open(rule.limits, room),
                Protection((*ignoreip, *rule.ignoreip)),
            )
            for rule in rules
        }

    def read(self, stream: BinaryIO, written: float) -> Iterator[int]:
        """Replay a log last written at a time; yield the bytes of each block when it is done."""
        rest = b""
        while part := stream.read(BLOCK):
            head, newline, rest = (rest + part).rpartition(b"\n")
            if newline:
                self._take(head + newline, written)
            elif len(rest) > BLOCK:
                rest = b""  # no log has such a line; the daemon drops it too
            yield len(part)
        if rest:
            self._take(rest + b"\n", written)

    def _take(self, data: bytes, written: float) -> None:
        report, spare = self.report, self._spare(data, written)
        report.lines += data.count(b"\n")
        events = self._matcher.events(Block("replay", data, written, live=False), spare)
        if spare is not None:
            report.by_rule.update(spare.counts)
            report.failures += spare.counts.total()
        for _, group in groupby(events, _step):
            self._decide(list(group))

    def _spare(self, data: bytes, written: float) -> Spare | None:
        """Return whose failures need only be counted: their bans outlast what is read now."""
        last = data[data.rfind(b"\n", 0, -1) + 1 : -1]
        end = self._matcher.stamps.at_start(last, written)
        if end is None or self.report.last is None:
            return None
        self.report.last = max(self.report.last, end)
        return Spare(self._standing.beyond(self.report.last + _STEP), Counter())

    def _decide(self, events: list[Event]) -> None:
        report, standing = self.report, self._standing
        standing.now = events[0].at
        report.first = standing.now if report.first is None else min(report.first, standing.now)
        report.last = max(report.last or 0.0, events[-1].at)
        reached = self._reaching(events)
        bans = {ban.subject: ban for ban in self._pipeline.decide(events)}
        for ban in bans.values():
            standing.add(ban)
        report.bans += [replace(ban, evidence=()) for ban in bans.values()]
        if not bans:
            report.through += len(reached)
            return
        for event in reached:
            made = bans.get(self._who(event))
            report.through += made is None or event.at <= made.since

    def _reaching(self, events: list[Event]) -> list[Event]:
        """Count events; return the failures that no earlier ban stops."""
        report, standing = self.report, self._standing
        failures = [event for event in events if event.weight]
        if len(failures) < len(events):
            for event in events:
                if not event.weight:
                    report.logins.setdefault(event.address, event.at)
        report.by_rule.update([event.rule for event in failures])
        report.failures += len(failures)
        return [
            event
            for event in failures
            if event.address not in standing
            and (":" not in event.address or self._who(event) not in standing)
        ]

    def _who(self, event: Event) -> Network:
        return subject(event.address, self._pipeline.watches[event.rule].limits.ipv6_prefix)


def _step(event: Event) -> float:
    return event.at // _STEP


def doubtful(report: Report, prefix: int = 64) -> dict[Network, float]:
    """Return the banned who also logged in, and when first: likely bans of the wrong person."""
    banned = report.banned()
    logins = ((subject(who, prefix), at) for who, at in report.logins.items())
    return {who: at for who, at in logins if who in banned}


def speed(report: Report, began: float) -> float:
    """Return lines a second since a reading of the monotonic clock."""
    return report.lines / max(1e-9, time.monotonic() - began)
