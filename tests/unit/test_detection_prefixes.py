import random
from ipaddress import IPv6Address, IPv6Network

import pytest

from pyfilter.addresses import Address, address, covering
from pyfilter.detection.prefixes import site, subject


def test_an_ipv4_address_is_its_own_subject() -> None:
    assert subject(Address("203.0.113.7"), 64) == "203.0.113.7"


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8::1", "2001:db8::/64"),
        ("2001:db8:0:2::1", "2001:db8:0:2::/64"),
        ("2001:db8:1::2:3:4:5", "2001:db8:1::/64"),
        ("::1", "::/64"),
        ("::1.2.3.4", "::/64"),
        ("1::", "1::/64"),
        ("0:1::", "0:1::/64"),
        ("::2:3:4:5:6:7", "0:0:2:3::/64"),
    ],
)
def test_an_ipv6_address_is_counted_by_its_64(host: str, expected: str) -> None:
    assert subject(address(host), 64) == expected


@pytest.mark.parametrize("prefix", [16, 32, 48, 56, 60, 64, 80, 96, 112, 120, 128])
def test_the_text_is_canonical_at_every_length(prefix: int) -> None:
    chance = random.Random(prefix)  # noqa: S311 - seeded, no secret
    for _ in range(500):
        groups = [chance.choice([0, 0, 1, chance.getrandbits(16)]) for _ in range(8)]
        host = address(str(IPv6Address(b"".join(group.to_bytes(2, "big") for group in groups))))
        if ":" in host:
            found = subject(host, prefix)
            assert found == covering(host, prefix)
            assert IPv6Address(host) in IPv6Network(found)


def test_a_site_is_the_48() -> None:
    assert site(covering(Address("2001:db8:1:2:3::"), 64)) == "2001:db8:1::/48"
