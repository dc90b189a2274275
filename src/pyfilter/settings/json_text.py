# settings: JSON with what a person needs to find a mistake: the line of a key, no key twice.
import json
import re
from typing import Any

from pyfilter.errors import SettingsError
from pyfilter.visible import visible

Path = tuple[str, ...]
_MARK = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|\n')


def parse(path: str, text: str) -> dict[str, Any]:
    """Return the object a text holds; raises SettingsError with file and line."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        table = dict(pairs)
        if len(table) < len(pairs):
            names = [name for name, _ in pairs]
            twice = next(name for name in names if names.count(name) > 1)
            raise SettingsError(visible(f'{path}: the key "{twice}" stands twice in one section'))
        return table

    try:
        value = json.loads(text, object_pairs_hook=once)
    except json.JSONDecodeError as error:
        raise SettingsError(f"{path}:{error.lineno}: is no valid JSON: {error.msg}") from None
    except RecursionError:
        raise SettingsError(f"{path}: is nested too deeply") from None
    if not isinstance(value, dict):
        raise SettingsError(f'{path}:1: must be an object with a section "settings"')
    return value


def line_of(text: str, path: Path) -> int:
    """Return the line (from 1) of a key path in valid JSON, or of its nearest part."""
    stack: list[str] = []
    key, line, best, shared, naming = "", 1, 1, 0, True
    for found in _MARK.finditer(text):
        mark = found[0]
        if mark == "\n":
            line += 1
        elif mark in "{[":
            stack.append(key)
            naming = mark == "{"
        elif mark in "}]":
            stack.pop()
            naming = False
        elif mark == ",":
            naming = True
        elif mark == ":":
            naming = False
        elif naming:
            key = json.loads(mark)
            here = (*stack[1:], key)
            if len(here) > shared and here == path[: len(here)]:
                best, shared = line, len(here)
    return best
