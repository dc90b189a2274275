# fail2ban: what was taken over as the text of a pyfilter.toml.
from typing import Any

from pyfilter.settings.writing import key_of, text_of

_LONG = 90  # signs of a list on one line


def text(sections: dict[str, dict[str, Any]]) -> str:
    """Return sections as TOML; long lists with an entry a line."""
    return "\n".join(
        f"[{_header(name)}]\n" + "".join(map(_line, table.items()))
        for name, table in sections.items()
    )


def _header(name: str) -> str:
    first, dot, rest = name.partition(".")
    return f"{first}{dot}{key_of(rest) if dot else ''}"


def _line(item: tuple[str, Any]) -> str:
    key, value = item
    short = text_of(value)
    if not isinstance(value, list) or len(short) <= _LONG:
        return f"{key} = {short}\n"
    return f"{key} = [\n" + "".join(f"  {text_of(one)},\n" for one in value) + "]\n"
