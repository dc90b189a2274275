# `pyfilter match` bans exactly whom the pipeline bans, on any run of lines.
from hypothesis import given, settings
from hypothesis import strategies as st

from pyfilter import detection
from pyfilter.addresses import Network
from pyfilter.cli.trial import Trial
from pyfilter.matching.matcher import Matcher
from pyfilter.matching.rule import Pattern, Rule
from pyfilter.model import Ban, Block, History, Limits
from pyfilter.pipeline import Pipeline, Watch
from pyfilter.settings.tree import RuleSettings

START = 1_795_413_600
RULE = Rule(
    "mine", patterns=(Pattern("^<time> bad <ip>$"), Pattern("^<time> half <ip>$", weight=0.5))
)
ADDRESSES = ("203.0.113.9", "203.0.113.10", "2001:db8:0:1::1", "2001:db8:0:1::2")

lines = st.lists(
    st.tuples(
        st.integers(0, 40), st.sampled_from(("bad", "half", "fine")), st.sampled_from(ADDRESSES)
    ),
    max_size=60,
)
limits = st.builds(
    Limits,
    maxretry=st.integers(1, 4),
    findtime=st.sampled_from((30.0, 200.0)),
    bantime=st.sampled_from((50.0, 1000.0, -1.0)),
    counting=st.sampled_from(("window", "streak")),
)


def piped(tolerated: Limits, log: list[tuple[float, bytes]]) -> list[Ban | None]:
    """Return the ban that each line completes, by the pipeline itself."""
    banned: dict[Network, Ban] = {}
    histories: dict[Network, History] = {}
    pipeline = Pipeline("", banned, lambda _: histories)
    pipeline.matchers = {"log": Matcher([(RULE, ())])}
    pipeline.watches = {"mine": Watch(tolerated, detection.open(tolerated))}
    found: list[Ban | None] = []
    for at, line in log:
        for subject, ban in list(banned.items()):
            if ban.until is not None and ban.until <= at:
                del banned[subject]
        bans = pipeline.process(Block("log", line + b"\n", at))
        found.append(bans[0] if bans else None)
        for ban in bans:
            banned[ban.subject] = ban
            histories[ban.subject] = History(ban.strike, ban.since)
    return found


@settings(max_examples=40, deadline=None)
@given(lines, limits)
def test_a_trial_bans_whom_the_pipeline_bans(
    steps: list[tuple[int, str, str]], tolerated: Limits
) -> None:
    at, log = START, []
    for gap, word, address in steps:
        at += gap
        log.append((float(at), f"{at} {word} {address}".encode()))
    trial = Trial(RuleSettings(RULE, tolerated))
    tried = [trial.judge(line).ban for _, line in log]
    for one, other in zip(tried, piped(tolerated, log), strict=True):
        assert (one is None) == (other is None)
        if one and other:
            assert (one.subject, one.since, one.until, one.strike) == (
                *(other.subject, other.since, other.until, other.strike),
            )
