# settings: names a firewall of the family and fills in what was written about it.
from collections.abc import Mapping
from typing import Any, get_args

import msgspec

from pyfilter.firewalls import AnyFirewall

_BACKENDS = {str(kind.__struct_config__.tag): kind for kind in get_args(AnyFirewall)}
NAMES = tuple(_BACKENDS)


def firewall(name: str, given: Mapping[str, Any]) -> AnyFirewall:
    """Return the settings of a firewall; it takes of `given` what it knows."""
    known = {key: given[key] for key in _BACKENDS[name].__struct_fields__ if key in given}
    settings: AnyFirewall = msgspec.convert({"type": name, **known}, AnyFirewall)
    return settings
