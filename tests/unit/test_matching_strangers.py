# matching/strangers: lines read in bulk, and readers of other formats that may claim some of them.
import pytest

from pyfilter.matching import library
from pyfilter.matching.heads import head_of, kind_of
from pyfilter.matching.matcher import Matcher
from pyfilter.matching.rule import Pattern, Rule
from pyfilter.matching.skeleton import entire
from pyfilter.matching.strangers import Strangers
from pyfilter.matching.syntax import Parser
from pyfilter.model import Block

SSHD = library.load("sshd")
LINE = "Nov 22 05:21:{:02} web sshd[{}]: Failed password for {} from 192.0.2.{} port 22 ssh2\n"


def of_line(match: str) -> Rule:
    return Rule(name="line", patterns=(Pattern(match),))


def of_json(match: str, tag: str = "app") -> Rule:
    return Rule(name="json", format="json", tags=(tag,), patterns=(Pattern(match),))


def flooded(rule: Rule, *users: str) -> tuple[Matcher, Block]:
    """Return a matcher that has learnt ways to read a flood, with sshd's rule and another."""
    matcher = Matcher([(SSHD, ()), (rule, ())])
    lines = [LINE.format(n % 60, n, users[n % len(users)], n % 250) for n in range(3000)]
    block = Block("test", "".join(lines).encode(), 0.0)
    for _ in range(2):
        matcher.events(block)
    return matcher, block


@pytest.mark.parametrize(
    "rule",
    [
        of_line("^something else from <ip>$"),
        of_line("^Failed password for <user> from <ip> port <port> ssh2$"),
        of_json("^Failed password for <user> from <ip> at <*>$"),
        of_json("^Failed password for <user> from <ip> at <*>$", "sshd"),
        of_json("^Failed password for <user> from <ip> port <*>$"),
    ],
)
def test_a_flood_is_read_in_bulk_beside_rules_that_it_does_not_concern(rule: Rule) -> None:
    matcher, block = flooded(rule, "root", "admin")
    lines = block.data.split(b"\n")[:-1]
    assert not matcher._bulk.read(lines, block.data, block).left
    assert matcher.events(block) == matcher.plain(block)


@pytest.mark.parametrize(
    "rule",
    [
        of_line("^<time> web sshd\\[<pid>\\]: Failed password for <user> from <ip> port <*>$"),
        of_json("^Failed password for <user> from <ip> port <*>$", "sshd"),
    ],
)
def test_lines_that_both_claim_are_left_to_the_readers(rule: Rule) -> None:
    matcher, block = flooded(rule, "root")
    lines = block.data.split(b"\n")[:-1]
    assert len(matcher._bulk.read(lines, block.data, block).left) == len(lines)
    assert matcher.events(block) == matcher.plain(block)
    assert len(matcher.events(block)) == 2 * len(lines)


def test_the_few_lines_that_another_claims_too_are_found_by_its_texts() -> None:
    matcher, _ = flooded(of_line("^<*> for evil<*> from <ip> <*>$"), "root")
    users = ["root", "evil", "devil"] * 9
    lines = [LINE.format(n, n, user, n) for n, user in enumerate(users)]
    block = Block("test", "".join(lines).encode(), 0.0)
    told = [line.encode().removesuffix(b"\n") for line in lines]
    assert list(matcher._bulk.read(told, block.data, block).left) == [*range(1, 27, 3)]
    assert matcher.events(block) == matcher.plain(block)
    assert len(matcher.events(block)) == 27 + 9


@pytest.mark.parametrize(
    ("match", "message", "harmless"),
    [
        ("^<*> gate <word> refused <ip>$", "door [a-z]+ refused [0-9.]+", True),
        ("^<*> gate <word> refused <ip>$", "door gate [a-z]+ refused [0-9.]+", False),
        ("^<*> refused [0-9]+ <ip>$", "refused [a-z ]+ by 192[.]0[.]2[.]1 *", True),
        ("^<*> refused by <ip>$", "refused by 192[.]0[.]2[.]1 *", False),
        ("^refused by <ip>$", "refused by 192[.]0[.]2[.]1", True),
    ],
)
def test_what_stands_in_the_lines_of_a_way_is_proved(
    match: str, message: str, harmless: bool
) -> None:
    matcher = Matcher([(SSHD, ()), (of_line(match), ())])
    head = head_of(b"Nov 22 05:21:20 web sshd[811]: x", {0: matcher.readers[0]})
    assert head is not None
    strangers = Strangers(matcher.readers, matcher._scanner)
    strangers.stated = 1 << len(matcher.readers[0].chosen)
    way = entire(0, SSHD.patterns[0], Parser(message).parse())
    assert strangers.harmless(kind_of(head), way) is harmless


def test_what_only_an_expression_that_is_searched_for_tells_cannot_be_proved() -> None:
    rule = Rule(name="own", patterns=(Pattern(r"password for \S+ from (\S+)", groups=("ip",)),))
    matcher, block = flooded(rule, "root")
    lines = block.data.split(b"\n")[:-1]
    assert len(matcher._bulk.read(lines, block.data, block).left) == len(lines)
