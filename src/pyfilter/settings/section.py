# settings: one table of a configuration file, read key by key with errors a person can act on.
import difflib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from pyfilter.durations import FOREVER, duration
from pyfilter.errors import PyfilterError, SettingsError

Complain = Callable[[tuple[str, ...], str], PyfilterError]
_ABSENT = object()
_SHOWN = 40


class Section:
    """A table whose keys are asked for by name; what nobody asked for is an error."""

    def __init__(
        self, table: Mapping[str, Any], complain: Complain, path: tuple[str, ...] = ()
    ) -> None:
        self._table = table
        self._complain = complain
        self._path = path
        self._asked: dict[str, None] = {}

    def __contains__(self, key: str) -> bool:
        self._asked[key] = None
        return self._table.get(key) is not None  # null in JSON is a key left out

    def names(self) -> tuple[str, ...]:
        """Return the keys as written; a table of named things asks for each of them."""
        return tuple(self._table)

    def raw(self, key: str, default: Any = None) -> Any:
        return self._table[key] if key in self else default

    def text(self, key: str, default: str = "") -> str:
        value = self.raw(key, default)
        if not isinstance(value, str):
            raise self.must(key, "a text", value)
        return value

    def flag(self, key: str, default: bool = False) -> bool:
        value = self.raw(key, default)
        if not isinstance(value, bool):
            raise self.must(key, "true or false", value)
        return value

    def whole(self, key: str, default: int, least: int, most: int) -> int:
        value = self.raw(key, default)
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise self.must(key, f"a whole number from {least} to {most}", value)
        return value

    def number(self, key: str, default: float, least: float, most: float) -> float:
        value = self.raw(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.must(key, "a number", value)
        if not least <= value <= most:
            raise self.must(key, f"a number from {least:g} to {most:g}", value)
        return float(value)

    def seconds(self, key: str, default: float = 0.0, *, forever: bool = False) -> float:
        """Return a duration in seconds, more than none; -1 only where for ever makes sense."""
        value = self.raw(key, default)
        wanted = 'a duration: seconds, "10m" or "1d 12h"' + (", or -1 for ever" if forever else "")
        if not isinstance(value, str | int | float):
            raise self.must(key, wanted, value)
        try:
            seconds = duration(value)
        except SettingsError:
            raise self.must(key, wanted, value) from None
        if seconds > 0 or (forever and seconds == FOREVER):
            return seconds
        raise self.must(key, wanted, value)

    def choice(self, key: str, default: str, names: Sequence[str]) -> str:
        value = self.raw(key, default)
        if value not in names:
            hint = nearest(value, names)
            wanted = f"{', '.join(names[:-1])} or {names[-1]}"
            raise self.wrong(key, f"must be {wanted}, not {shown(value)}{hint}")
        return str(value)

    def texts(self, key: str, default: tuple[str, ...] = ()) -> tuple[str, ...]:
        """Return a list of texts; one text alone is a list of one."""
        value = self.raw(key, _ABSENT)
        if value is _ABSENT:
            return default
        listed = [value] if isinstance(value, str) else value
        if not isinstance(listed, list) or not all(isinstance(one, str) for one in listed):
            raise self.must(key, "a text or a list of texts", value)
        return tuple(listed)

    def section(self, key: str) -> "Section":
        value = self.raw(key, {})
        if not isinstance(value, dict):
            raise self.must(key, "a section with keys of its own", value)
        return Section(value, self._complain, (*self._path, key))

    def nested(self, key: str, table: Mapping[str, Any]) -> "Section":
        """Return a table that stands in the list of a key."""
        return Section(table, self._complain, (*self._path, key))

    def wrong(self, key: str, reason: str) -> PyfilterError:
        return self._complain((*self._path, key), reason)

    def must(self, key: str, wanted: str, value: object) -> PyfilterError:
        return self.wrong(key, f"must be {wanted}, not {shown(value)}")

    def missing(self, key: str, reason: str) -> PyfilterError:
        """Return the error for a key that must be there: it may be there under a near name."""
        for name in self._table:
            if name not in self._asked and nearest(name, (key,)):
                return self.wrong(name, f'unknown key; did you mean "{key}"?')
        return self._complain(self._path or (key,), reason)

    def done(self) -> None:
        """Raise SettingsError for the first key that nobody asked for."""
        for key in self._table:
            if key not in self._asked:
                hint = nearest(key, self._asked) or f"; known here: {', '.join(self._asked)}"
                raise self.wrong(key, f"unknown key{hint}")


def nearest(value: object, names: Iterable[str]) -> str:
    """Return `; did you mean "NAME"?`, or nothing where no name is near."""
    known = {name.lower(): name for name in names}
    found = difflib.get_close_matches(str(value).lower(), known, n=1, cutoff=0.6)
    return f'; did you mean "{known[found[0]]}"?' if found else ""


def shown(value: object) -> str:
    """Return a value as it is written, cut to a readable length."""
    text = json.dumps(value, default=str, ensure_ascii=True)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"
