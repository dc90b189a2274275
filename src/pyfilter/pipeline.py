# The program on one screen: block -> events -> offences -> bans. No I/O but the ledger's history.
from collections import Counter
from collections.abc import Callable, Collection, Container, Mapping, Sequence
from functools import cache

from msgspec import Struct

from pyfilter.addresses import Address, Network
from pyfilter.detection.prefixes import subject
from pyfilter.interfaces import Detector
from pyfilter.matching.bulk import Spare
from pyfilter.matching.matcher import Matcher
from pyfilter.model import Ban, Block, Event, History, Limits, Offence
from pyfilter.policy import judge
from pyfilter.protection import Protection

Recall = Callable[[Collection[Network]], Mapping[Network, History]]
Listener = Callable[[Sequence[Event]], None]
Weigh = Callable[[Sequence[Event]], Sequence[Event]]
_NEW = History()  # of one who was never banned
_FLOOD = 16_384  # bytes in a block; in fewer, listeners are told of banned hosts, too


class Watch(Struct, frozen=True):
    """A rule on duty: what it tolerates and who counts."""

    limits: Limits
    detector: Detector
    exempt: Protection | None = None  # whom this rule never bans
    observe: bool = False


class Pipeline:
    """Turns the blocks of every source into bans; the same code live, in replay and in tests."""

    def __init__(self, origin: str, banned: Container[str], recall: Recall) -> None:
        self.origin, self.banned, self.recall = origin, banned, recall
        self.matchers: Mapping[str, Matcher] = {}  # by source
        self.watches: Mapping[str, Watch] = {}  # by rule
        # Told of every event that is new, but for those of banned hosts while a flood lasts.
        self.listeners: list[Listener] = []
        self.weigh: Weigh | None = None  # one who weighs is told of every event
        self.failures: Counter[str] = Counter()  # by rule
        self.banned_by: Counter[str] = Counter()
        self._kept: dict[str, tuple[int, int]] = {}  # of `statistics`, what the ledger has

    def process(self, block: Block) -> list[Ban]:
        """Return the bans that a block completes."""
        events = self._events(block)
        if not events:
            return []
        if not block.again:
            self._tell(events)
        return self.decide(self.weigh(events) if self.weigh else events, block.read_at)

    def _events(self, block: Block) -> list[Event]:
        matcher = self.matchers[block.source]
        if block.again or self.weigh or len(block.data) < _FLOOD:
            return matcher.events(block)
        lengths = {watch.limits.ipv6_prefix for watch in self.watches.values()}

        @cache
        def networked(host: Address) -> bool:
            return all(subject(host, length) in self.banned for length in lengths)

        return matcher.events(block, Spare(self.banned, self.failures, networked))

    def decide(self, events: Sequence[Event], now: float = 0.0) -> list[Ban]:
        """Return the bans that events complete, dated now or, when that is later, by them."""
        bans = []
        for rule, failures in self._counted(events).items():
            watch = self.watches[rule]
            bans += self.judged(watch, watch.detector.observe(failures), now)
        self.banned_by.update(ban.rule for ban in bans)
        return bans

    def _tell(self, events: Sequence[Event]) -> None:
        self.failures.update([event.rule for event in events if event.weight])
        for listener in self.listeners:
            listener(events)

    def _counted(self, events: Sequence[Event]) -> dict[str, list[Event]]:
        """Return by rule the failures of those who are not banned already."""
        banned = self.banned
        counted = [
            event
            for event in events
            if event.weight
            and event.address not in banned
            and (":" not in event.address or self._network(event) not in banned)
        ]
        rules = {event.rule for event in counted}
        if len(rules) == 1:
            return {rules.pop(): counted}
        by_rule: dict[str, list[Event]] = {}
        for event in counted:
            by_rule.setdefault(event.rule, []).append(event)
        return by_rule

    def _network(self, event: Event) -> Network:
        """Return the network that an IPv6 address counts as, and is banned as."""
        return subject(event.address, self.watches[event.rule].limits.ipv6_prefix)

    def judged(self, watch: Watch, offences: Sequence[Offence], now: float) -> list[Ban]:
        """Return the policy's answers to offences of one rule, to the first of each subject."""
        if not offences:
            return []
        first: dict[Network, Offence] = {}
        for offence in offences:
            if watch.exempt is None or not watch.exempt.shield(offence.subject):
                first.setdefault(offence.subject, offence)
        known, bans = self.recall(first), []
        for who, each in first.items():
            history, at = known.get(who, _NEW), max(now, each.at)
            ban = judge(each, watch.limits, history, at, self.origin, observe=watch.observe)
            if ban is not None:
                bans.append(ban)
        return bans

    def drop(self, subject: Network) -> None:
        """Forget what is counted of a subject that was banned or released."""
        for watch in self.watches.values():
            watch.detector.drop(subject)

    def forget(self, now: float) -> None:
        """Let every detector drop what can no longer matter."""
        for watch in self.watches.values():
            limits = watch.limits
            watch.detector.forget(now - max(limits.findtime, limits.request_time))

    def score(self, subject: Network) -> dict[str, float]:
        """Return what is counted against a subject, by rule."""
        counted = ((rule, w.detector.score(subject)) for rule, w in self.watches.items())
        return {rule: score for rule, score in counted if score}

    def recent(self, subject: Network) -> tuple[Event, ...]:
        """Return the events remembered of a subject that is not banned yet."""
        return tuple(e for w in self.watches.values() for e in w.detector.recent(subject))

    @property
    def statistics(self) -> dict[str, tuple[int, int]]:
        """Return (failures, bans) of each rule since the start."""
        return {rule: (self.failures[rule], self.banned_by[rule]) for rule in self.watches}

    def take_tally(self, now: float) -> dict[tuple[str, int], tuple[int, int]]:
        """Return (failures, bans) by rule and hour since this was last asked, for the ledger."""
        hour = int(now) // 3600
        tally = {}
        for rule, (failures, bans) in self.statistics.items():
            before = self._kept.get(rule, (0, 0))
            if (failures, bans) != before:
                tally[rule, hour] = (failures - before[0], bans - before[1])
                self._kept[rule] = (failures, bans)
        return tally
