# iptables: bans as members of ipsets, or as plain rules where ipset is missing.
from typing import Literal

from msgspec import Struct

from pyfilter.interfaces import Firewall


class Iptables(Struct, frozen=True, tag="iptables", tag_field="type", forbid_unknown_fields=True):
    """Settings of the iptables firewall."""

    action: Literal["drop", "reject"] = "drop"
    size: int = 1_000_000  # members an ipset may hold

    def open(self) -> Firewall:
        raise NotImplementedError
