# settings: reads [firewall] by the fields that the firewalls of the family themselves declare.
from collections.abc import Mapping
from typing import Any, Literal, get_args, get_origin

import msgspec
from msgspec import structs

from pyfilter.firewalls import AnyFirewall
from pyfilter.settings.section import Section

_BACKENDS = {str(kind.__struct_config__.tag): kind for kind in get_args(AnyFirewall)}
_MOST = 2**31 - 1
NAMES = tuple(_BACKENDS)


def firewall(name: str, given: Mapping[str, Any]) -> AnyFirewall:
    """Return the settings of a firewall; it takes of `given` what it knows."""
    known = {key: given[key] for key in _BACKENDS[name].__struct_fields__ if key in given}
    settings: AnyFirewall = msgspec.convert({"type": name, **known}, AnyFirewall)
    return settings


def read_firewall(section: Section) -> AnyFirewall:
    """Return the firewall a section names; keys of the others may stay when it is exchanged."""
    name = section.choice("type", "nftables", NAMES)
    given: dict[str, Any] = {}
    for field in (field for kind in _BACKENDS.values() for field in structs.fields(kind)):
        if field.name in section:
            given[field.name] = _value(section, field)
    section.done()
    return firewall(name, given)


def _value(section: Section, field: structs.FieldInfo) -> object:
    if get_origin(field.type) is Literal:
        return section.choice(field.name, "", get_args(field.type))
    if field.type is bool:
        return section.flag(field.name)
    if field.type is int:
        return section.whole(field.name, 0, 1, _MOST)
    return section.text(field.name)
