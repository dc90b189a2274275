import pytest

from pyfilter.errors import RuleError
from pyfilter.matching import library


@pytest.mark.parametrize("name", library.names())
def test_every_rule_that_comes_along_passes_its_own_samples(name: str) -> None:
    assert library.check(library.load(name)) == []


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
