from pathlib import Path

import pytest

from pyfilter.errors import RuleError
from pyfilter.matching import library
from pyfilter.matching.matcher import Matcher
from pyfilter.matching.reading import Reader
from pyfilter.matching.rule import Pattern, Rule
from pyfilter.model import AT_ONCE, Block

NOW = 1795348800.0


def found(rule: Rule, *lines: str) -> list[tuple[str, str, float]]:
    data = "".join(f"{line}\n" for line in lines).encode()
    events = Matcher([(rule, ())]).events(Block("test", data, NOW, live=False))
    return [(event.address, event.user, event.weight) for event in events]


def test_texts_are_found_without_regard_to_case_where_the_pattern_says_so() -> None:
    rule = Rule(name="mine", patterns=(Pattern("(?i)^access denied for <user>@<ip>$"),))
    assert found(rule, "ACCESS Denied for bob@192.0.2.1", "x") == [("192.0.2.1", "bob", 1.0)]


def test_a_pattern_without_any_text_of_its_own_still_matches() -> None:
    rule = Rule(name="mine", patterns=(Pattern(r"^<ip> \d+ <word>$"),))
    assert found(rule, "x", "192.0.2.1 77 z", "192.0.2.1 x z") == [("192.0.2.1", "", 1.0)]


def test_an_expression_of_the_original_is_searched_for_anywhere() -> None:
    rule = Rule(
        name="ssh",
        time_format="%b %d %H:%M:%S",
        patterns=(
            Pattern(r"(\w{3} +\d+ [\d:]+) .*Failed password .* from (\S+)", groups=("either",) * 2),
            Pattern(r"refused (\S+) at (\w{3} +\d+ [\d:]+)", groups=("either",) * 2, ban=True),
        ),
    )
    assert found(
        rule,
        "Nov 22 05:21:20 web sshd[1]: Failed password for root from 192.0.2.1 port 2 ssh2",
        "x refused 192.0.2.2 at Nov 22 05:21:20",
        "benign",
    ) == [("192.0.2.1", "", 1.0), ("192.0.2.2", "", AT_ONCE)]


def test_an_expression_that_only_python_reads_works_too() -> None:
    rule = Rule(
        name="own", patterns=(Pattern(r"(?<!not )failed (?=from)from (\S+)", groups=("ip",)),)
    )
    assert found(rule, "failed from 192.0.2.1", "not failed from 192.0.2.2", "é") == [
        ("192.0.2.1", "", 1.0)
    ]


def test_a_status_must_be_one_of_those_that_the_rule_names() -> None:
    rule = Rule(
        name="nginx",
        statuses=("401", "403"),
        patterns=(
            Pattern(
                r'^(\S+) .*\[(.*?)\] "POST (/login|/admin)\S* .*" (\d+) ',
                groups=("ip", "time", "url", "status"),
            ),
        ),
    )
    line = '192.0.2.1 - - [22/Nov/2026:05:21:20 +0000] "POST /login HTTP/1.1" {} 12'
    assert [one[0] for one in found(rule, line.format(401), line.format(200))] == ["192.0.2.1"]


def test_json_lines_are_read_by_their_fields() -> None:
    rule = Rule(
        name="caddy",
        format="json",
        fields={"message": "status request.method request.uri", "ip": "request.ip", "time": "ts"},
        patterns=(Pattern("^401 POST /login<*>$"),),
    )
    line = '{{"ts":1795324880.5,"status":{},"request":{{"ip":"192.0.2.1","method":"POST","uri":"/login"}}}}'
    data = "".join(f"{one}\n" for one in (line.format(401), line.format(200), "{", "[]", "7"))
    (event,) = Matcher([(rule, ())]).events(Block("test", data.encode(), NOW, live=False))
    assert (event.address, event.at) == ("192.0.2.1", 1795324880.5)


def test_what_is_ignored_never_matches() -> None:
    rule = Rule(name="m", patterns=(Pattern("^refused <ip>$"),), ignore=(r"^refused 10\.<*>$",))
    assert found(rule, "refused 10.0.0.1", "refused 192.0.2.1") == [("192.0.2.1", "", 1.0)]


def test_kinds_choose_patterns_and_knowledge_is_always_read() -> None:
    reader = Reader(library.load("sshd"), {"penalty"})
    assert {pattern.kind for pattern in reader.chosen} == {"penalty", "success"}


def test_a_plan_is_kept_and_taken_up_again(tmp_path: Path) -> None:
    rule = library.load("sshd")
    line = b"Nov 22 05:21:20 web sshd[8]: Failed password for root from 192.0.2.1 port 22 ssh2\n"
    for _ in range(2):
        matcher = Matcher([(rule, ())], cache=tmp_path / "cache")
        assert len(matcher.events(Block("test", line, NOW))) == 1
    (kept,) = (tmp_path / "cache").iterdir()
    for broken in (b"", b"rubbish", kept.read_bytes()[:-1]):
        kept.write_bytes(broken)
        matcher = Matcher([(rule, ())], cache=tmp_path / "cache")
        assert len(matcher.events(Block("test", line, NOW))) == 1


def test_a_cache_that_cannot_be_written_costs_nothing_but_time(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    Matcher([(library.load("sshd"), ())], cache=tmp_path / "file" / "cache")


def test_a_wrong_pattern_is_refused_when_the_matcher_is_made() -> None:
    with pytest.raises(RuleError, match="rule mine"):
        Matcher([(Rule(name="mine", patterns=(Pattern("^nobody$"),)), ())])


def test_a_wrong_ignore_is_refused_when_the_matcher_is_made() -> None:
    rule = Rule(name="mine", patterns=(Pattern("^no <ip>$"),), ignore=("x",))
    with pytest.raises(RuleError, match="rule mine: ignore 'x'"):
        Matcher([(rule, ())])


def test_lines_of_two_rules_give_one_event_each() -> None:
    one = Rule(name="one", patterns=(Pattern("^refused <ip>$"),))
    two = Rule(name="two", patterns=(Pattern("^refused <host>$"),))
    data = b"refused 192.0.2.1\n" * 600
    matcher = Matcher([(one, ()), (two, ())])
    for _ in range(3):
        events = matcher.events(Block("test", data, NOW))
        assert [event.rule for event in events] == ["one", "two"] * 600
