# visible.py: log text that cannot play tricks on who reads it.
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyfilter.visible import visible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("root from 192.0.2.1", "root from 192.0.2.1"),
        ("é 漢字 \\012", "é 漢字 \\012"),
        ("a\nb\r\tc\x1b[2J", "a\\nb\\r\\tc\\x1b[2J"),
        ("\u202egnp.exe\u2028", "\\u202egnp.exe\\u2028"),
        (b"caf\xc3\xa9 \xff\x00", "café \\xff\\x00"),
        ("\udcff", "\\udcff"),
    ],
)
def test_what_could_play_tricks_is_written_out(text: str | bytes, shown: str) -> None:
    assert visible(text) == shown


def test_long_text_is_cut() -> None:
    assert visible("x" * 20, longest=5) == "xxxx…"
    assert visible(b"\xff" * 20, longest=5) == "\\xff…"
    assert visible("x" * 5, longest=5) == "xxxxx"


@given(st.text() | st.binary())
def test_nothing_unprintable_remains(text: str | bytes) -> None:
    shown = visible(text, longest=50)
    assert len(shown) <= 50
    assert {unicodedata.category(one) for one in shown}.isdisjoint({"Cc", "Cf", "Cs", "Zl", "Zp"})
