# countries: an address's country, or unknown.
from pyfilter.addresses import address
from pyfilter.countries import Countries


def test_an_address_of_no_known_country_is_said_to_be_unknown() -> None:
    assert Countries().sentence(address("192.0.2.1")) == "The IP was from unknown!."
