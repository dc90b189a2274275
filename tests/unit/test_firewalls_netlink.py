# firewalls/netlink.py and firewalls/kernel.py: messages of the kernel, taken apart.
import re
import struct

from pyfilter.firewalls.kernel import Element, _element
from pyfilter.firewalls.netlink import NFPROTO_INET, attribute, attributes, generations


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
