# matching/budget.py and cutting.py: what a hostile line may cost, and where its time is cut out.
import re
import signal
import threading
import time

import pytest

from pyfilter.errors import RuleError
from pyfilter.matching.budget import Budget
from pyfilter.matching.cutting import Cutter, wider
from pyfilter.matching.literals import telling
from pyfilter.matching.matcher import Matcher
from pyfilter.matching.reading import Reader
from pyfilter.matching.rule import Pattern, Rule
from pyfilter.model import Block

SLOW = r"^(?:(?:x\w|\w\w) )*by ((?:\d+\.){3}\d+)$"
HOSTILE = b"xa " * 60 + b"."
RULE = Rule("slow", format="cut", patterns=(Pattern(SLOW, groups=("ip",), slow=True),))


def block(*lines: bytes) -> Block:
    return Block("test", b"".join(line + b"\n" for line in lines), 1795341600.0)


def test_a_search_that_takes_too_long_is_given_up() -> None:
    budget = Budget()
    started = time.process_time()
    assert budget.search(re.compile(SLOW.encode()), HOSTILE) is None
    assert time.process_time() - started < 5  # without a budget: longer than the world lasts
    assert budget.search(re.compile(SLOW.encode()), b"xa by 192.0.2.1") is not None


def test_the_timer_is_given_back() -> None:
    before = signal.getsignal(signal.SIGVTALRM)
    Budget().search(re.compile(SLOW.encode()), HOSTILE)
    assert signal.getsignal(signal.SIGVTALRM) is before
    assert signal.getitimer(signal.ITIMER_VIRTUAL) == (0, 0)


def test_many_costly_lines_in_a_row_are_no_longer_looked_at() -> None:
    budget = Budget()
    budget.left = 1.5
    expression = re.compile(SLOW.encode())
    assert budget.search(expression, HOSTILE) is None
    assert budget.search(expression, b"by 192.0.2.1") is None  # nothing left
    for _ in range(50):
        budget.search(expression, b"nothing")
    assert budget.search(expression, b"by 192.0.2.1") is not None


def test_off_the_main_thread_nothing_is_searched() -> None:
    found: list[object] = []
    expression = re.compile(SLOW.encode())
    thread = threading.Thread(
        target=lambda: found.append(Budget().search(expression, b"by 192.0.2.1"))
    )
    thread.start()
    thread.join()
    assert found == [None]


def test_a_rule_with_a_slow_expression_finds_what_is_there_and_outlives_what_is_hostile() -> None:
    found = Matcher([(RULE, ())]).events(block(b"Nov 22 10:00:00xa " + HOSTILE, b"xx by 192.0.2.1"))
    assert [event.address for event in found] == ["192.0.2.1"]


def test_an_expression_that_is_slow_and_does_not_say_so_is_refused() -> None:
    rule = Rule("slow", format="cut", patterns=(Pattern(SLOW, groups=("ip",)),))
    with pytest.raises(RuleError, match="repeat"):
        Reader(rule).prepare()


def test_a_word_is_never_cut_in_two() -> None:
    cutter = Cutter(Rule("x", format="cut", stamp=("(?P<time>b)",)))
    assert cutter.cut(b"abc") == (b"abc", b"")
    assert cutter.cut(b"a b c") == (b"a  c", b"b")


@pytest.mark.parametrize("stamp", ["(", "no time in it"])
def test_a_stamp_that_says_no_time_is_refused(stamp: str) -> None:
    with pytest.raises(RuleError, match="stamp"):
        Cutter(Rule("x", format="cut", stamp=(stamp,)))


def test_an_ignore_that_is_no_expression_is_refused() -> None:
    with pytest.raises(RuleError, match="ignore"):
        Reader(Rule("x", format="cut", ignore=("(",))).prepare()
    with pytest.raises(RuleError, match="ignore"):
        Reader(Rule("x", format="cut", ignore=("(?:a|a)*$",))).prepare()


@pytest.mark.parametrize(
    "expression",
    [
        r"(?!nobody)somebody (?P<a>x)(?P=a) from",
        r"(?i)somebody (?:y)? (?<=x)\1?",
        r"(a)?somebody(?(1)x|y)",
        r"\Asomebody(?i:X)\Z",
    ],
)
def test_what_is_beyond_the_subset_is_read_as_something_wider(expression: str) -> None:
    node = wider(expression)
    assert node is not None
    covers = telling(node)
    assert any(b"somebody" in text.lower() for cover in covers for text in cover.texts)
