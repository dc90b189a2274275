# Property: no text that another service logs, whatever header stands before it, is taken for a header of sshd's.
from hypothesis import given, settings
from hypothesis import strategies as st

from pyfilter.matching import library
from pyfilter.matching.reading import Reader

SSHD = Reader(library.load("sshd"))
MESSAGE = "Failed password for root from 198.51.100.66 port 22 ssh2"
HEADS = (
    "Nov 22 05:21:20 web ",
    "Nov 22 05:21:20 ",
    "2026 Nov 22 05:21:20 src@relay/web ",
    "2026-11-22T05:21:20.123456+00:00 web ",
    "<38>Nov 22 05:21:20 web ",
    "Nov 22 05:21:20 web auth.info ",
    "Nov 22 05:21:20 <4.6> web ",
    "Sun Nov 22 05:21:20 2026 [1795324880.123] authpriv.warn ",
    "2026-11-22T05:21:20.123456789Z Nov 22 05:21:20 web ",
    "2026-11-22T05:21:20.123456789Z stdout F ",
    "ssh-1  | Nov 22 05:21:20 web ",
    "[ 1234.567890] web ",
    "[2026-11-22 05:21:20] ",
    "@4000000065f0c1d23b9aca00 ",
    "",
)
OTHERS = ("nginx[7]: ", "nginx: ", "[nginx] ", "nginx[7]: [ID 1 auth.info] ", "nginx.service[7]: ")
MODERN = (
    "<38>1 2026-11-22T05:21:20Z web nginx 7 - - ",
    '<38>1 2026-11-22T05:21:20Z web nginx 7 ID47 [a@1 x="1"] ',
    "1 - - nginx - - - ",
)
pieces = st.sampled_from(
    [
        *HEADS, *OTHERS, *MODERN, MESSAGE, "sshd[1]: ", "sshd: ", "[sshd] ", "ssh.service[1]: ", "sshd 1 - - ",
        "ssh-1 | ", "stdout F ", "1 ", "<38>", "\\", "] ", '" ', '"', ": ", " ", "/sshd[1]: ", "x", "|",
    ]
)  # fmt: skip
texts = st.lists(pieces, max_size=6).map("".join)


@settings(max_examples=2000, deadline=None)
@given(head=st.sampled_from(HEADS), other=st.sampled_from(OTHERS), text=texts)
def test_no_text_behind_another_tag_is_a_header(head: str, other: str, text: str) -> None:
    assert SSHD.hit(f"{head}{other}{text}{MESSAGE}".encode()) is None


@settings(max_examples=1000, deadline=None)
@given(head=st.sampled_from(MODERN), text=texts)
def test_no_text_behind_another_name_is_a_header_of_rfc_5424(head: str, text: str) -> None:
    assert SSHD.hit(f"{head}{text}{MESSAGE}".encode()) is None


@settings(max_examples=1000, deadline=None)
@given(text=texts)
def test_no_value_of_structured_data_ends_it(text: str) -> None:
    value = text.replace("\\", "\\\\").replace('"', '\\"').replace("]", "\\]")
    line = f'<38>1 2026-11-22T05:21:20Z web sshd 7 - [a@1 x="{value}"] nothing at all'
    assert SSHD.hit(line.encode()) is None
