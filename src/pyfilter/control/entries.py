# Entries of the allowlist as people type them: addresses, networks, host names.
import re

from pyfilter.addresses import network
from pyfilter.errors import AddressError

_NAME = re.compile(
    r"(?=.{1,253}$)[A-Za-z0-9_]([A-Za-z0-9_-]*\.)*[A-Za-z0-9_-]*[A-Za-z]\.?", re.ASCII
)


def canonical(text: str) -> str:
    """Return an entry in canonical text, host names in lower case; raises AddressError."""
    try:
        return network(text)
    except AddressError:
        if not _NAME.fullmatch(text):
            raise
        return text.lower().rstrip(".")
