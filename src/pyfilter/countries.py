# Address -> country; what is not known is said to be unknown, never an error.
from pyfilter.addresses import Address, Network


class Countries:
    """Knows the country of an address."""

    def __init__(self, database: str = "") -> None:
        self.database = database

    def code(self, _address: Address | Network) -> str | None:
        """Return the ISO code of a country."""
        return None

    def sentence(self, subject: Address | Network) -> str:
        """Return where an address is from, in the tutorial's words."""
        return f"The IP was from {self.code(subject) or 'unknown!'}."
