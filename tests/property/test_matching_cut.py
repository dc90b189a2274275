# matching/cutting.py: wherever a line's time stands, the scanner and the reader agree on the line.
from hypothesis import given
from hypothesis import strategies as st

from pyfilter.matching.cutting import Cutter
from pyfilter.matching.matcher import Matcher
from pyfilter.matching.rule import Pattern, Rule
from pyfilter.model import Block

NOON = 1795348800.0
STAMPS = (
    *("Nov 22 10:00:00", "2026-11-22T10:00:00.123+01:00", "22/Nov/2026:10:00:00 +0000"),
    *("2026-11-22 10:00:00", "1795341600", "Sun Nov 22 10:00:00 2026", "11/22/2026 10:00:00"),
)
ADDRESS = r"((?:\d{1,3}\.){3}\d{1,3})"
PATTERNS = (
    Pattern(rf"\[\] \[client {ADDRESS}\] refused", groups=("ip",)),
    Pattern(rf"(?i)^\s*\S+ doord: (?!friend)(\w+) from {ADDRESS}$", groups=("user", "ip")),
    Pattern(rf"^(?P<a>\w+)-(?P=a) ends badly {ADDRESS}", groups=("", "ip")),
)
RULE = Rule("x", format="cut", patterns=PATTERNS, ignore=(r"from 192\.0\.2\.9$",))
MATCHER = Matcher([(RULE, ())])
PARTS = st.sampled_from(
    (
        *(" ", "[", "]", "[] ", "host ", "doord: ", "DOORD: ", "fox from ", "friend from ", "a-a "),
        *("192.0.2.7", "192.0.2.9", "[client 192.0.2.8] ", "refused", "ends badly ", "\r"),
        *STAMPS,
    )
)
LINES = st.lists(PARTS, max_size=9).map("".join)


@given(st.lists(LINES, min_size=1, max_size=12))
def test_scanner_and_reader_agree(lines: list[str]) -> None:
    block = Block("x", "".join(f"{line}\n" for line in lines).encode(), NOON, live=False)
    assert MATCHER.events(block) == MATCHER.plain(block)


@given(st.lists(LINES, min_size=1, max_size=3), st.sampled_from(STAMPS))
def test_what_is_left_and_what_is_cut_out_are_the_line(lines: list[str], stamp: str) -> None:
    cutter = Cutter(RULE)
    line = f"{lines[0]} {stamp} {lines[-1]}".encode()
    cut = cutter.cut(line)
    text, stamp_cut = cut.text, cut.stamp
    assert any(text[:n] + stamp_cut + text[n:] == line for n in range(len(text) + 1))


@given(st.sampled_from(STAMPS))
def test_a_known_failure_is_found_whatever_the_stamp(stamp: str) -> None:
    found = MATCHER.events(
        Block(
            "x",
            f"[{stamp}] [client 192.0.2.8] refused\n{stamp} host doord: Fox from 192.0.2.7\n".encode(),
            NOON,
            live=False,
        )
    )
    assert [event.address for event in found] == ["192.0.2.8", "192.0.2.7"]
