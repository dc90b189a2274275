# nftables: bans as elements of hash sets in a table of our own, through libnftables in process.
from typing import Literal

from msgspec import Struct

from pyfilter.interfaces import Firewall


class Nftables(Struct, frozen=True, tag="nftables", tag_field="type", forbid_unknown_fields=True):
    """Settings of the nftables firewall."""

    action: Literal["drop", "reject"] = "drop"
    size: int = 1_000_000  # elements a set may hold

    def open(self) -> Firewall:
        raise NotImplementedError
