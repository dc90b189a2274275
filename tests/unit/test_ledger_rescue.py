# ledger/rescue.py: of the rows of a database whose bits may have been flipped, the sound ones.
from typing import Any

import pytest

from pyfilter.ledger import rescue

SOUND: tuple[Any, ...] = ("192.0.2.1", 1000.0, 4600.0, "5 failures", "sshd", 1, "here", "")
FOR_EVER = ("2001:db8::/64", 1000, None, "by hand", "", 2, "operator", "tom")


def test_sound_rows_are_all_kept_in_their_order() -> None:
    rows = [SOUND, FOR_EVER, ("10.0.0.0/8", *SOUND[1:])]
    assert list(rescue.bans(rows)) == rows
    assert list(rescue.bans([])) == []


@pytest.mark.parametrize(
    ("column", "value"),
    [
        (0, b"192.0.2.2"),
        (0, "192.0.2.02"),
        (0, "192.0.2"),
        (0, "192.0.2.0/33"),
        (0, "2001:DB8::1"),
        (0, "::ffff:192.0.2.1"),
        (1, None),
        (1, "x"),
        (1, 1e300),
        (2, float("inf")),
        (2, -1e12),
        (3, None),
        (4, 7),
        (5, "1"),
        (5, 1.5),
        (7, b""),
    ],
)
def test_one_row_that_we_cannot_have_written_is_left_out(column: int, value: object) -> None:
    wrong = (*SOUND[:column], value, *SOUND[column + 1 :])
    assert list(rescue.bans([SOUND, wrong, FOR_EVER])) == [SOUND, FOR_EVER]
