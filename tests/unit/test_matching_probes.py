# matching/probes: what Hyperscan looks for on behalf of a pattern.
import pytest

from pyfilter.matching.matcher import Matcher
from pyfilter.matching.pattern import compile_pattern
from pyfilter.matching.probes import probes_of, probes_of_breaks
from pyfilter.matching.rule import Pattern, Rule
from pyfilter.matching.scanner import Scanner, plan
from pyfilter.model import Block

JSON = Rule(
    name="api",
    format="json",
    fields={"message": "status path", "host": "peer"},
    patterns=(Pattern("^401 /<*>$"), Pattern("^[a-z]+ 403 <*>$")),
)


def sought(rule: Rule, match: str) -> list[bytes]:
    return [one.source for one in probes_of(rule, compile_pattern(rule, Pattern(match)))]


def test_two_texts_are_sought_in_their_order_on_one_line() -> None:
    match = "^(?:Thief|Guest) refused: <user> from <ip> at (?:garage|gateway|window)$"
    assert sought(Rule(name="own"), match) == [
        b"Guest refused: .*(?: at garage| at gateway| at window)",
        b"Thief refused: .*(?: at garage| at gateway| at window)",
    ]


def test_fields_of_json_may_stand_in_another_order() -> None:
    match = "^login refused <user> (?:from outside|by visitor) <*>$"
    joined = Rule(name="own", format="json", fields={"message": "what who", "host": "peer"})
    alone = Rule(name="own", format="json", fields={"message": "what", "host": "peer"})
    assert sought(joined, match) == [b"refused"]
    assert sought(alone, match) == [b"login refused .*(?: by visitor | from outsid)"]


def test_without_a_telling_text_the_whole_is_sought_but_for_the_forms_of_times() -> None:
    assert sought(Rule(name="own"), "^<time> <ip> \\d+ <word>$") == [
        rb".* (?:[\.0-:A-Fa-f]{1,44}[0-9A-Fa-f]) [0-9]+ [^\x09-\x0d ]{1}"
    ]


def test_the_end_of_the_whole_is_found_once_a_line() -> None:
    assert sought(Rule(name="own"), "^<ip> \\d+ <*>$") == [
        rb"(?:[\.0-:A-Fa-f]{1,44}[0-9A-Fa-f]) [0-9]+ "
    ]


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ('{"peer": "192.0.2.1", "path": "/x", "status": 401}', 1),
        ('{"peer": "192.0.2.1", "path": "/x", "status": "401"}', 1),
        ('{"peer": "192.0.2.1", "path": "403 x", "status": "y"}', 2),
        ('{"peer": "192.0.2.1", "path": "x", "status": "y\\n403"}', 2),
        ('{"peer": "192.0.2.1", "path": "/x", "status": 1401}', 0),
        ('{"peer": "192.0.2.1", "path": "/x401", "status": 200}', 0),
        ("401 /x", 1),
    ],
)
def test_a_number_of_json_is_sought_as_a_whole(line: str, found: int) -> None:
    matcher = Matcher([(JSON, ())])
    planned = plan(matcher.readers)
    assert not planned.always
    candidates = Scanner(planned).candidates(line.encode(), 9)
    assert candidates is not None
    assert (candidates.masks or [0])[0] == found
    block = Block("test", f"{line}\n".encode(), 0.0)
    assert matcher.events(block) == matcher.plain(block)


@pytest.mark.parametrize(
    ("between", "count"), [(b"x' was refused\n", 1), (b"x was refused\n", 3), (b"", 3)]
)
def test_what_tells_a_broken_message_is_sought_with_the_patterns(
    between: bytes, count: int
) -> None:
    broken = "^[^']{0,99}' was refused$"
    rule = Rule(name="own", patterns=(Pattern("^refused <ip>$"),), broken=broken)
    assert [one.source for one in probes_of_breaks(rule)] == [b"' was refused"]
    matcher = Matcher([(rule, ())])
    data = b"refused 192.0.2.1\nrefused 192.0.2.2\n" + between + b"refused 192.0.2.3\n"
    block = Block("test", data, 0.0)
    assert matcher.events(block) == matcher.plain(block)
    assert len(matcher.events(block)) == count
