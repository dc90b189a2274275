# addresses.py: canonical text or AddressError, nothing between.
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyfilter.addresses import address, covering, ipv4_numbers, is_canonical, network
from pyfilter.errors import AddressError


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("203.0.113.13", "203.0.113.13"),
        ("::ffff:203.0.113.13", "203.0.113.13"),
        ("::ffff:cb00:710d", "203.0.113.13"),
        ("2001:DB8:0::1", "2001:db8::1"),
    ],
)
def test_an_address_has_one_text(text: str, canonical: str) -> None:
    assert address(text) == canonical


@pytest.mark.parametrize(
    "text",
    [
        "010.0.0.1",
        "0x7f.1",
        "1.2.3",
        "1.2.3.4:22",
        "example.net",
        "",
        "fe80::1%eth0",
        "1.2.3.4\n",
        "\0",
        "1.2.3.4/32",
    ],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(AddressError):
        address(text)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("203.0.113.13/32", "203.0.113.13"),
        ("203.0.113.13/24", "203.0.113.0/24"),
        ("2001:db8::5/64", "2001:db8::/64"),
        ("2001:db8::5/128", "2001:db8::5"),
        ("::ffff:203.0.113.0/120", "203.0.113.0/24"),
    ],
)
def test_a_network_has_one_text(text: str, canonical: str) -> None:
    assert network(text) == canonical


@pytest.mark.parametrize(
    "text", ["1.2.3.4/33", "1.2.3.4/-1", "1.2.3.4/", "::/129", "1.2.3.4/٣", "::ffff:1.2.3.4/90"]
)
def test_what_is_no_network_is_refused(text: str) -> None:
    with pytest.raises(AddressError):
        network(text)


def test_an_address_is_counted_by_its_network() -> None:
    assert covering(address("2001:db8::5"), 64) == "2001:db8::/64"
    assert covering(address("203.0.113.13"), 32) == "203.0.113.13"


def test_many_ipv4_addresses_are_numbers_at_once() -> None:
    assert ipv4_numbers(["0.0.0.1", "10.0.0.0", "255.255.255.255"]) == [1, 10 << 24, (1 << 32) - 1]
    assert ipv4_numbers([]) == []


@pytest.mark.parametrize(
    "text",
    ["1.2.3", "01.2.3.4", "1.2.3.04", "256.1.1.1", "0x7f.0.0.1", "1.2.3.4 ", "::1", "", "a\0b"],
)
def test_one_text_among_many_that_is_no_canonical_ipv4_address_is_refused(text: str) -> None:
    with pytest.raises(AddressError):
        ipv4_numbers(["1.2.3.4", text])


TEXTS = st.from_regex(r"[0-9a-f.:]{0,20}(/[0-9]{0,3})?", fullmatch=True) | st.builds(
    "{}{}".format,
    st.ip_addresses()
    | st.ip_addresses(network="::ffff:0:0/96")
    | st.sampled_from(["::", "0.0.0.0"]),
    st.just("") | st.integers(0, 130).map("/{}".format) | st.sampled_from(["/", "/08", "/\u0661"]),
)


@given(text=TEXTS)
def test_a_text_is_canonical_where_network_leaves_it_as_it_is(text: str) -> None:
    try:
        expected = network(text) == text
        made = network(text)
    except AddressError:
        expected = False
    else:
        assert is_canonical(made)
    assert is_canonical(text) == expected
