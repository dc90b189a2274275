import pytest

from pyfilter.errors import RuleError
from pyfilter.matching import library
from pyfilter.matching.reading import Reader


def test_a_rule_that_comes_along_passes_its_own_samples() -> None:
    assert library.check(library.load("sshd")) == []


def test_an_unknown_rule_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(RuleError, match="did you mean sshd"):
        library.load("ssshd")


def test_an_unknown_key_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(RuleError, match=r"unknown key 'matsh' in \[\[patterns\]\]; did you mean"):
        library.parse('[[patterns]]\nmatsh = "^<ip>$"', "mine")


def test_a_wrong_sample_is_told_in_words() -> None:
    rule = library.parse(
        '[[patterns]]\nmatch = "^no from <ip>$"\n[[samples]]\nline = "no from 192.0.2.1"', "mine"
    )
    assert library.check(rule) == [
        "sample 'no from 192.0.2.1': must not match, yet gives 192.0.2.1"
    ]


def test_a_prefix_stands_before_every_message() -> None:
    rule = library.parse(
        "prefix = '<time> (?:app: )?'\nignore = ['^no from 192\\.0\\.2\\.9$']\n"
        "[[patterns]]\nmatch = '^no from <ip>$'\n",
        "mine",
    )
    reader = Reader(rule)
    assert reader.hit(b"2026-11-22 12:00:00 app: no from 192.0.2.1")
    assert reader.hit(b"2026-11-22 12:00:00 no from 192.0.2.1")
    assert not reader.hit(b"no from 192.0.2.1")
    assert not reader.hit(b"2026-11-22 12:00:00 no from 192.0.2.9")


def test_an_included_rule_lends_its_patterns_behind_its_own_prefix() -> None:
    rule = library.parse(
        "include = ['web']\nprefix = 'x '\n[[patterns]]\nmatch = '^no from <ip>$'\n", "mine"
    )
    reader = Reader(rule)
    assert reader.hit(b"x no from 192.0.2.1")
    assert reader.hit(b'192.0.2.1 - bob [22/Nov/2026:12:00:00 +0000] "GET / HTTP/1.1" 401 9')


def test_a_rule_of_another_format_is_not_included() -> None:
    with pytest.raises(RuleError, match="sshd reads another format"):
        library.parse("include = ['sshd']\n", "mine")
