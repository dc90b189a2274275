# One rule on trial: a line at a time through the daemon's matching, detection and policy.
import time

import msgspec
from msgspec import Struct

from pyfilter import detection
from pyfilter.addresses import Network
from pyfilter.detection.prefixes import subject
from pyfilter.matching.matcher import Matcher
from pyfilter.model import Ban, Block, Event, History
from pyfilter.pipeline import Pipeline, Watch
from pyfilter.protection import Protection
from pyfilter.settings.tree import RuleSettings

_ODD = 0.1234567  # a fraction of a second that no log writes: who has it has no time of its own


class Verdict(Struct, frozen=True):
    """What a line means; `event` is None for a failure whose address is a name."""

    matched: bool
    event: Event | None = None
    at: float | None = None  # the line's own time
    ban: Ban | None = None


class Trial:
    """Judges lines in order, each at its own time or at that of the one before."""

    def __init__(self, rule: RuleSettings, ignoreip: tuple[str, ...] = ()) -> None:
        self._prefix = rule.limits.ipv6_prefix
        self._matcher = Matcher([(rule.rule, rule.rule.kinds)])
        self._watch = Watch(
            rule.limits, detection.open(rule.limits), Protection((*ignoreip, *rule.ignoreip))
        )
        self._banned: dict[Network, float | None] = {}
        self._histories: dict[Network, History] = {}
        self._pipeline = Pipeline("", self._banned, lambda _: self._histories)
        self._pipeline.watches = {rule.rule.name: self._watch}
        self._now = int(time.time()) + _ODD
        self._last = self._now

    def judge(self, line: bytes) -> Verdict:
        """Return what a line without its newline means."""
        names = self._matcher.unattributable
        found = self._matcher.events(Block("trial", line + b"\n", self._now, live=False))
        if not found:
            return Verdict(self._matcher.unattributable > names)
        event = found[0]
        at = None if event.at == self._now else event.at
        if at is not None:
            self._last = at
        if not event.weight:
            return Verdict(matched=False, event=event, at=at)
        return Verdict(True, event, at, self._ban(msgspec.structs.replace(event, at=self._last)))

    def _ban(self, event: Event) -> Ban | None:
        """Count an event of one who is not banned; return the ban that it completes."""
        who = subject(event.address, self._prefix)
        if who in self._banned:
            until = self._banned[who]
            if until is None or event.at < until:
                return None
            del self._banned[who]
        offences = self._watch.detector.observe([event])
        for ban in self._pipeline.judged(self._watch, offences, event.at):
            self._banned[ban.subject] = ban.until
            self._histories[ban.subject] = History(ban.strike, ban.since)
            return ban
        return None
