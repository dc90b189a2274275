# Passes an entry of the allowlist on to the fleet.
from pyfilter.control.office import Office
from pyfilter.errors import FleetError, RefusedError
from pyfilter.model import Allowance


def share(office: Office, allowance: Allowance, *, allowed: bool) -> None:
    """Make an entry protected on every server, or no longer; raises RefusedError."""
    if office.fleet is None:
        raise RefusedError("this server is in no fleet: its configuration has no [fleet]")
    try:
        office.fleet.share(allowance, allowed=allowed)
    except FleetError as error:
        raise RefusedError(f"{allowance.entry} is not shared: {error}") from None
