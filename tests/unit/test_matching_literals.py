# matching/literals: the texts that a line must hold for a pattern to fit it.
import pytest

from pyfilter.matching.literals import covers, telling
from pyfilter.matching.pattern import whole


@pytest.mark.parametrize(
    ("match", "texts"),
    [
        ("^Failed password for <user> from <ip>$", [{b"Failed password"}]),
        ("^(?:Illegal|Invalid) user <user> from <ip>$", [{b"Illegal user ", b"Invalid user "}]),
        ("^x <user> (?:refused|denied access) <ip> y$", [{b" refused ", b" denied access "}]),
        ("^<ip>: (?:a|b)<*>no such thing<*>$", [{b"no such thing"}]),
        ("^<ip> \\d+ <word>$", []),
    ],
)
def test_the_rarest_texts_that_a_line_must_hold_are_found(
    match: str, texts: list[set[bytes]]
) -> None:
    assert [set(cover.texts) for cover in telling(whole(match))] == texts


@pytest.mark.parametrize(
    ("match", "texts"),
    [
        (
            "^Received disconnect from <ip>: \\d+: <*> \\[preauth\\]$",
            [{b"Received disconnect"}, {b" [preauth]"}],
        ),
        ("^refused entry: <user> from <ip> at door$", [{b"refused entry: "}, {b" at door"}]),
        ("^<ip> \\[<time>\\] \\S+ 401 <*> (?:CR|PR) <*>$", [{b" 401 "}, {b" CR ", b" PR "}]),
    ],
)
def test_two_texts_stand_in_the_order_of_the_pattern(match: str, texts: list[set[bytes]]) -> None:
    assert [set(cover.texts) for cover in telling(whole(match))] == texts


def test_a_telling_text_has_no_other_before_it_for_which_lines_would_be_read_to_their_end() -> None:
    match = "^door: <user> from <ip> refused entry$"
    assert [set(cover.texts) for cover in telling(whole(match))] == [{b" refused entry"}]


def test_words_of_every_log_make_no_text_telling() -> None:
    match = "^<ip> left <user> for user <user> in session <user> at gate$"
    assert [set(cover.texts) for cover in telling(whole(match))] == [{b" at gate"}]


def test_two_texts_that_both_tell_little_are_not_sought() -> None:
    assert not telling(whole("^<ip> \\[<time>\\] \\S+ (?:CR|PR)\\S* <*>$"))


def test_lines_that_have_an_order_of_their_own_are_told_by_one_cover() -> None:
    node = whole("^refused entry: <user> from <ip> at door$")
    assert [set(one.texts) for one in telling(node, ordered=False)] == [{b"refused entry: "}]


def test_a_choice_of_texts_some_of_which_have_any_case_is_found_in_any_case() -> None:
    (cover,) = telling(whole("^<ip>(?:Nmap<*>|[Ww][Gg][Ee][Tt]<*>)$"))
    assert (cover.texts, cover.caseless) == (frozenset({b"nmap", b"wget"}), True)


def test_no_text_holds_a_byte_that_may_be_written_otherwise() -> None:
    node = whole("^login failed: <user> at /admin/door <ip>$")
    assert [set(one.texts) for one in covers(node, b" /")] == [{b"failed:"}, {b"admin"}, {b""}]
