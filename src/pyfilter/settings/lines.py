# settings: tells the line of a key in a TOML text, which tomllib does not.
import tomllib
from collections.abc import Iterator
from typing import Any

Path = tuple[str, ...]


def line_of(text: str, path: Path) -> int:
    """Return the line (from 1) where a key path is written, or the nearest part of it."""
    best, shared = 1, 0
    for line, written in statements(text):
        common = _common(written, path)
        if common > shared:
            best, shared = line, common
    return best


def statements(text: str) -> Iterator[tuple[int, Path]]:
    """Yield (line, full key path) of every table header and key.

    A statement is the shortest run of whole lines that is TOML by itself, so quoting, multi-line
    strings and arrays are read by tomllib and not by a second parser of our own.
    """
    header: Path = ()
    pending, start = "", 1
    for number, line in enumerate(text.splitlines(keepends=True), 1):
        if not pending:
            start = number
        pending += line
        parsed = _parsed(pending)
        if parsed is None:
            continue
        if parsed:
            keys = _keys(parsed)
            if pending.lstrip().startswith("["):
                header = keys
                yield start, header
            else:
                yield start, header + keys
        pending = ""


def _parsed(text: str) -> dict[str, Any] | None:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return None


def _keys(parsed: dict[str, Any]) -> Path:
    keys: list[str] = []
    value: Any = parsed
    while True:
        if isinstance(value, list) and len(value) == 1 and isinstance(value[0], dict):
            value = value[0]
        if not (isinstance(value, dict) and len(value) == 1):
            return tuple(keys)
        key, value = next(iter(value.items()))
        keys.append(key)


def _common(written: Path, path: Path) -> int:
    count = 0
    for one, other in zip(written, path, strict=False):
        if one != other:
            break
        count += 1
    return count
