# Which sources are read for which rules, and the matcher and detectors of each.
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

from msgspec import Struct

from pyfilter import detection, sources
from pyfilter.interfaces import Clock, Source
from pyfilter.matching.matcher import Matcher
from pyfilter.model import Block
from pyfilter.pipeline import Watch
from pyfilter.protection import Protection
from pyfilter.settings import Settings
from pyfilter.settings.tree import RuleSettings
from pyfilter.sources.paths import look


class Duties(Struct, frozen=True):
    """Everything that follows from the rules of one configuration."""

    watches: Mapping[str, Watch]
    matchers: Mapping[str, Matcher]  # by source
    sources: Mapping[str, Source]
    unread: tuple[str, ...] = ()  # rules without any log


def assign(settings: Settings, clock: Clock, room: detection.Room) -> Duties:
    """Open sources, matchers and detectors; raises RuleError before anything is taken over.

    The room is one for the daemon's life: with one a reload, detectors that go on would each be
    bounded beside the new ones, not together with them.
    """
    wanted: dict[sources.SourceSettings, list[RuleSettings]] = {}
    unread = []
    for name, rule in settings.rules.items():
        place = place_of(rule)
        if place is None:
            unread.append(name)
        else:
            wanted.setdefault(place, []).append(rule)
    matchers, opened = {}, {}
    cache = Path(settings.state_dir) / "cache"
    for place, rules in wanted.items():
        matcher = Matcher([(r.rule, r.rule.kinds) for r in rules], cache=cache)
        source = place.open(partial(_own_time, matcher, clock), clock)
        matchers[source.name], opened[source.name] = matcher, source
    return Duties(_watches(settings, room), matchers, opened, tuple(unread))


def place_of(rule: RuleSettings) -> sources.SourceSettings | None:
    """Return where a rule reads; None when it is to read nothing."""
    return sources.find(
        rule.logpath,
        usual=rule.rule.logpath,
        matches=rule.rule.journal,
        fallback=rule.fallback,
        prefer=rule.rule.prefer,
    )


def notes(settings: Settings) -> list[str]:
    """Return what a person should know of a configuration when it is taken over."""
    absent = [
        f"{' '.join(rule.logpath)} is not there: {name} is read from the journal until it appears"
        for name, rule in settings.rules.items()
        if rule.fallback and rule.logpath and rule.rule.journal and not look(rule.logpath).files
    ]
    return [*settings.warnings, *absent]


def _own_time(matcher: Matcher, clock: Clock, line: bytes) -> float | None:
    return matcher.stamps.at_start(line, clock())


def _watches(settings: Settings, room: detection.Room) -> dict[str, Watch]:
    return {
        name: Watch(
            rule.limits,
            detection.open(rule.limits, room),
            Protection(rule.ignoreip) if rule.ignoreip else None,
            rule.observe,
        )
        for name, rule in settings.rules.items()
    }


def merged(old: Duties, new: Duties) -> Duties:
    """Return the new duties with the sources and counts of the old that go on unchanged."""
    kept = {name: source for name, source in old.sources.items() if name in new.sources}
    watches = {
        name: watch
        if name not in old.watches or old.watches[name].limits != watch.limits
        else Watch(watch.limits, old.watches[name].detector, watch.exempt, watch.observe)
        for name, watch in new.watches.items()
    }
    return Duties(watches, new.matchers, {**new.sources, **kept}, new.unread)


def examined(duties: Duties, now: float) -> Iterator[str]:
    """Run each active rule's samples through its own matcher; yield what is wrong, or ""."""
    for source, matcher in duties.matchers.items():
        for reader in matcher.readers:
            kinds = {pattern.kind for pattern in reader.chosen}
            for sample in reader.rule.samples:
                if sample.ip is None or (sample.kind and sample.kind not in kinds):
                    continue
                line = sample.line.encode("utf-8", "surrogateescape") + b"\n"
                events = matcher.events(Block(source, line, now, live=False))
                found = [event.address for event in events if event.rule == reader.rule.name]
                right = found == [sample.ip]
                yield "" if right else f"rule {reader.rule.name} misreads {sample.line!r}: {found}"
