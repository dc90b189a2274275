# firewalls/wire.py, bell.py and kernel.py: messages of the kernel, taken apart.
import errno
import re
import struct

import pytest

from pyfilter.errors import FirewallError
from pyfilter.firewalls import wire
from pyfilter.firewalls.bell import generations
from pyfilter.firewalls.kernel import Element, _element
from pyfilter.firewalls.wire import NFPROTO_INET, attribute, attributes


def wrapped(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


def notice(table: str, generation: int, family: int = NFPROTO_INET) -> bytes:
    body = struct.pack(">BBH", family, 0, generation) + attribute(1, table) + wrapped(2, b"x")
    return struct.pack("=IHHII", 16 + len(body), 0xA0C, 0, 0, 7) + body


def element(key: bytes, *, left: int | None, packets: int) -> bytes:
    counter = wrapped(1, b"counter\0") + wrapped(
        2, wrapped(1, struct.pack(">Q", 99)) + wrapped(2, struct.pack(">Q", packets))
    )
    ends = b"" if left is None else wrapped(4, bytes(8)) + wrapped(5, struct.pack(">Q", left))
    return wrapped(1, wrapped(1, key)) + wrapped(7, counter) + ends


def test_attributes_are_found_with_their_padding() -> None:
    data = attribute(1, "abcd") + wrapped(0x8003, b"xy")
    assert [(kind, data[start:end]) for kind, start, end in attributes(data)] == [
        (1, b"abcd\0"),
        (3, b"xy"),
    ]


def test_a_broken_attribute_ends_the_reading() -> None:
    assert list(attributes(bytes(8))) == []
    assert list(attributes(b"\1")) == []


def test_notices_of_other_tables_and_families_are_passed_over() -> None:
    data = [
        notice("pyfilter", 5) + notice("pyfilter", 6, family=2),
        notice("pyfilter2", 7),
        notice("other", 8),
        notice("pyfilter", 9),
    ]
    assert generations(data, attribute(1, "pyfilter"), {NFPROTO_INET}) == {5, 9}


def test_elements_of_several_shapes_are_read() -> None:
    shapes: dict[int, re.Pattern[bytes]] = {}
    four, six = bytes([192, 0, 2, 1]), bytes(range(16))
    for key, left, packets in ((four, 600, 3), (six, None, 2**40), (four, None, 0), (six, 1, 1)):
        data = element(key, left=left, packets=packets)
        assert _element(data, 0, len(data), shapes) == Element(key, left, packets)
    assert len(shapes) == 4
    plain = wrapped(1, wrapped(1, four))
    assert _element(plain, 0, len(plain), {}) == Element(four, None, 0)


def answer(code: int, *, said: bytes = b"") -> bytes:
    told = wrapped(1, said + b"\0") if said else b""
    body = struct.pack("=i", -code) + bytes(16) + told
    return struct.pack("=IHHII", 16 + len(body), 2, 0x300 if said else 0, 5, 0) + body


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (answer(0), ""),
        (answer(errno.EEXIST), "File exists"),
        (answer(errno.EINVAL, said=b"no such thing"), "Invalid argument (no such thing)"),
    ],
)
def test_a_refusal_is_told_in_the_kernel_s_own_words(data: bytes, words: str) -> None:
    (message,) = wire.messages(data)
    assert message.sequence == 5
    assert wire.refusal(data, message) == words


def test_a_broken_message_ends_the_reading() -> None:
    assert list(wire.messages(bytes(40))) == []
    assert list(wire.messages(answer(0)[:10])) == []
    assert len(list(wire.messages(answer(0) + answer(1)))) == 2


def test_a_kernel_without_numbers_is_told_of() -> None:
    with pytest.raises(FirewallError, match="is nf_tables there"):
        wire.generation(attribute(2, "x"))
    assert wire.generation(attribute(1, b"\0\0\1\2")) == 258
