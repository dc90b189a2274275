# firewalls/__init__.py: the union that the configuration decodes into.
from typing import Any

import msgspec
import pytest

from pyfilter.firewalls import AnyFirewall, Iptables, Nftables, Observe
from pyfilter.settings.tree import Settings


@pytest.mark.parametrize(
    ("table", "settings"),
    [
        ({"type": "nftables", "action": "reject"}, Nftables(action="reject")),
        ({"type": "iptables"}, Iptables(action="drop")),
        ({"type": "observe"}, Observe()),
    ],
)
def test_the_type_chooses_the_backend(table: dict[str, Any], settings: AnyFirewall) -> None:
    assert msgspec.convert(table, AnyFirewall) == settings


@pytest.mark.parametrize("table", [{"type": "pf"}, {"type": "observe", "action": "drop"}])
def test_unknown_types_and_keys_are_refused(table: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(table, AnyFirewall)


def test_nftables_is_the_default() -> None:
    assert Settings().firewall == Nftables(action="drop")
