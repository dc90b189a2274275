# matching/needs: a candidate line is read only by patterns all of whose texts it holds.
from pyfilter.matching.needs import Needs
from pyfilter.matching.reading import Reader
from pyfilter.matching.rule import Pattern, Rule

RULE = Rule(
    "door",
    patterns=(
        Pattern("^Received disconnect from <ip> port <port>:11: bye \\[preauth\\]$"),
        Pattern("^(?:Lost|Left) <user> from <ip>$"),
    ),
)


def test_a_line_that_lacks_a_text_of_a_pattern_is_not_for_it() -> None:
    needs = Needs([Reader(RULE)])
    assert needs.narrowed(b"Received disconnect from 192.0.2.1 port 5:11: bye [preauth]", 0b11) == 1
    assert needs.narrowed(b"Received disconnect from 192.0.2.1 port 5:11: by user", 0b11) == 0
    assert needs.narrowed(b"Left anna from 192.0.2.1", 0b11) == 2
    assert needs.narrowed(b"Left anna from 192.0.2.1", 0b01) == 0


def test_patterns_are_numbered_through_all_readers() -> None:
    needs = Needs([Reader(RULE), Reader(RULE)])
    assert needs.narrowed(b"Lost anna from 192.0.2.1", 0b1111) == 0b1010
