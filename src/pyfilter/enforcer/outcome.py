# What the one door answers: what became of each decision, and how the firewall is.
from msgspec import Struct

from pyfilter.model import Decision


class Outcome(Struct, frozen=True):
    """What became of one decision."""

    decision: Decision
    done: bool
    reason: str = ""  # why it was not done


class FirewallState(Struct, frozen=True):
    """What `status` says of the firewall."""

    name: str
    health: str  # "ok" or what is wrong
    expected: int  # subjects that should be blocked
    held: int  # how many the kernel held when it was last read
    repairs: int  # places mended since the start
