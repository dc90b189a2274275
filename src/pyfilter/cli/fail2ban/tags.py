# fail2ban: `<name>` in the values of a filter, and the arguments of `name[key=value, …]`.
import re
from collections.abc import Mapping
from typing import NamedTuple

from pyfilter.errors import RefusedError

_TAG = re.compile(r"<([\w/.-]+)(\?[^<>]*)?>")
_NAMED = re.compile(r"\s*([\w.,/@-]+)\s*((?:\[.*\])?)\s*", re.DOTALL)
_ARGUMENT = re.compile(
    r"""[\s,]*(?:\]\s*\[)?\s*([\w./-]+)\s*=\s*(?:"([^"]*)"|'([^']*)'|([^,\]]*))\s*""", re.DOTALL
)
_ROUNDS = 25
_MOST = 200_000  # characters


class Named(NamedTuple):
    """What `filter = name[key=value]` says."""

    name: str
    arguments: dict[str, str]


def named(text: str) -> Named:
    """Return a name and its arguments. Raises RefusedError."""
    match = _NAMED.fullmatch(text)
    if not match:
        raise RefusedError(f"{text!r} is no name with arguments")
    inner = match[2][1:-1]
    arguments, end = {}, 0
    while end < len(inner) and (found := _ARGUMENT.match(inner, end)):
        quoted = next((found[n] for n in (2, 3) if found[n] is not None), None)
        arguments[found[1]] = found[4].strip() if quoted is None else quoted
        end = found.end()
    if inner[end:].strip(" ,\n\t"):
        raise RefusedError(f"{text!r}: its arguments cannot be read from {inner[end:]!r} on")
    return Named(match[1], arguments)


def substituted(values: Mapping[str, str]) -> dict[str, str]:
    """Return values with each `<name>` replaced by the value of that name, inner ones first.

    A name that is no value stays as it stands. Raises RefusedError.
    """
    return {key: _filled(key, text, values) for key, text in values.items()}


def _filled(key: str, text: str, values: Mapping[str, str]) -> str:
    def value(match: re.Match[str]) -> str:
        found = values.get(match[1])
        return match[0] if found is None or match[2] is not None else found

    for _ in range(_ROUNDS):
        before, text = text, _TAG.sub(value, text)
        if text == before:
            return text
        if len(text) > _MOST:
            break
    raise RefusedError(f"{key}: its <…> go round in circles")
