import pytest

from pyfilter.errors import RuleError
from pyfilter.matching.pattern import compile_pattern
from pyfilter.matching.rule import Pattern, Rule

RULE = Rule(name="mine")


def fits(match: str, text: str) -> dict[str, str] | None:
    found = compile_pattern(RULE, Pattern(match)).regex.fullmatch(text.encode())
    return {k: v.decode() for k, v in found.groupdict(b"").items()} if found else None


def test_a_placeholder_captures_under_its_name() -> None:
    assert fits("^no <user> from <ip> port <port>$", "no a b from 192.0.2.1 port 7") == {
        "user": "a b",
        "ip": "192.0.2.1",
        "port": "7",
    }


def test_the_longest_user_takes_a_forged_address_in() -> None:
    found = fits("^no <user> from <ip>$", "no x from 192.0.2.66 from 192.0.2.1")
    assert found == {"user": "x from 192.0.2.66", "ip": "192.0.2.1"}


@pytest.mark.parametrize(
    ("match", "text"),
    [
        (r"^\<<user>\> <ip>$", "<bob> 192.0.2.1"),
        (r'^<ip> "<method> <url>" <status> <n> <word>$', r'192.0.2.1 "GET /\"x" 404 12 -'),
        (r"^(?i)x <ip>$", ""),
        (r"^<ip> (?:a|bc?)[^d-f\s]{2,3}\x41\.$", "192.0.2.1 bzzA."),
        (r"^é <ip>$", "é 192.0.2.1"),
        (r"^<time> <ip>: <*>$", "2026-11-22 05:21:20 192.0.2.1: x"),
    ],
)
def test_the_common_subset_is_understood(match: str, text: str) -> None:
    if "(?i)" in match:
        with pytest.raises(RuleError):
            compile_pattern(RULE, Pattern(match))
    else:
        assert fits(match, text) is not None


def test_case_can_be_left_out_of_account() -> None:
    assert fits("(?i)^Access Denied for <ip>$", "ACCESS denied FOR 192.0.2.1") is not None


@pytest.mark.parametrize(
    ("match", "reason"),
    [
        ("no <user> from <ip>", "start with"),
        ("^no from <ip>", "end with"),
        ("^a <ip>$|^b <ip>$", "start with"),
        ("^no <user>$", "no address"),
        ("^<ip> <ip>$", "twice"),
        ("^<ip> <host>$", "both"),
        ("^<adress>$", "no placeholder"),
        ("^(<ip>)$", "only placeholders capture"),
        (r"^(?=x)<ip>$", "not allowed"),
        (r"^(a)\1<ip>$", "only placeholders capture"),
        ("^(?:a+)+<ip>$", "repeat within a repeat"),
        ("^(?:a*)*<ip>$", "repeat within a repeat"),
        ("^(?:a|a)*<ip>$", "repeat within a repeat"),
        ("^<user> <*> <ip>$", "two unbounded repeats"),
        (r"^\S*\S*<ip>$", "two unbounded repeats"),
        ("^a**<ip>$", "repeat of a repeat"),
        ("^[b-a]<ip>$", "backwards"),
        ("^(?:a<ip>$", "never closed"),
        (r"^a\n<ip>$", "a line ends there"),
    ],
)
def test_a_bad_pattern_is_refused_with_rule_pattern_and_reason(match: str, reason: str) -> None:
    with pytest.raises(RuleError, match=reason) as error:
        compile_pattern(RULE, Pattern(match))
    assert "rule mine" in str(error.value)
    assert repr(match) in str(error.value)


def test_an_expression_of_the_original_names_its_groups_by_position() -> None:
    text = r"([A-Z][a-z]{2}\s+\d+ \d+:\d+:\d+).*Failed password.*from (\S+)"
    compiled = compile_pattern(RULE, Pattern(text, groups=("either", "either")))
    assert compiled.names == ("either", "either")
    with pytest.raises(RuleError, match="2 groups and 1 names"):
        compile_pattern(RULE, Pattern(text, groups=("ip",)))
    with pytest.raises(RuleError, match="repeat within a repeat"):
        compile_pattern(RULE, Pattern(r"(\w+)+ from (\S+)", groups=("time", "ip")))
