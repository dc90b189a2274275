# fail2ban: its configuration files, read and merged in its order, and `%(name)s` in their values.
import configparser
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from pyfilter.errors import RefusedError

_REFERENCE = re.compile(r"%(?:%|\(([^)]+)\)s)")
_DEEPEST = 10  # as configparser
_DEFAULT = "DEFAULT"
_KNOWN = "known/"


class Sections:
    """The sections of files read one after the other; what a later file replaces stays known."""

    def __init__(self, said: Mapping[str, str] | None = None) -> None:
        self.said = said or {}  # what fail2ban itself adds
        self.values: dict[str, dict[str, str]] = {_DEFAULT: {}}
        self.known: dict[str, dict[str, str]] = {}
        self.origin: dict[tuple[str, str], Path] = {}

    def names(self) -> list[str]:
        return [name for name in self.values if name not in (_DEFAULT, "INCLUDES")]

    def add(self, path: Path, parser: configparser.RawConfigParser) -> None:
        for section in parser.sections():
            into = self.values.setdefault(section, {})
            for key, value in parser.items(section):
                if key in into:
                    self.known.setdefault(section, {})[key] = into[key]
                into[key] = value
                self.origin[section, key] = path

    def raw(self, section: str, key: str) -> str | None:
        found = self.values.get(section, {}).get(key)
        return self.values[_DEFAULT].get(key) if found is None else found

    def get(self, section: str, key: str, given: Mapping[str, str] | None = None) -> str | None:
        """Return a value with its references filled in, None where there is none.

        `given` are values that win over those of the section. Raises RefusedError.
        """
        value = (given or {}).get(key)
        value = self.raw(section, key) if value is None else value
        return None if value is None else self._filled(value, section, key, given or {}, 0)

    def _filled(
        self, text: str, section: str, key: str, given: Mapping[str, str], depth: int
    ) -> str:
        if depth > _DEEPEST:
            raise RefusedError(f"[{section}] {key}: its references go round in circles")

        def value(match: re.Match[str]) -> str:
            if match[1] is None:
                return "%"
            found = self._referred(match[1], section, key, given)
            if found is None:
                raise RefusedError(f"[{section}] {key}: refers to {match[1]!r}, which is missing")
            name = match[1].rpartition("/")[2].lower()
            return self._filled(found, section, name, given, depth + 1)

        return _REFERENCE.sub(value, text)

    def _referred(self, name: str, section: str, key: str, given: Mapping[str, str]) -> str | None:
        if name in self.said:
            return self.said[name]
        if name == "__name__":
            return section
        name = name if "/" in name else name.lower()
        if name in given:
            return given[name]
        if name.startswith(_KNOWN):
            return self._earlier(name.removeprefix(_KNOWN).lower(), section, key)
        if "/" in name:
            other, _, option = name.rpartition("/")
            other = _DEFAULT if other.lower() == "default" else other
            return self.raw(other, option.lower())
        return self.raw(section, name)

    def _earlier(self, name: str, section: str, key: str) -> str | None:
        """Return what a value was before the last file that replaced it."""
        if name in self.known.get(section, {}):
            return self.known[section][name]
        if name != key:
            return self.raw(section, name)
        above = self.values if section != _DEFAULT else self.known
        return above.get(_DEFAULT, {}).get(name)


def ordered(base: Path) -> list[Path]:
    """Return the files that make up `NAME.conf`: it, NAME.d/*.conf, NAME.local, NAME.d/*.local."""
    stem = base.with_suffix("")
    folder = stem.with_name(f"{stem.name}.d")
    return [
        *_there([stem.with_name(f"{stem.name}.conf")]),
        *sorted(folder.glob("*.conf")),
        *_there([stem.with_name(f"{stem.name}.local")]),
        *sorted(folder.glob("*.local")),
    ]


def read(base: Path) -> Sections:
    """Return what `NAME.conf` and the files around it add up to. Raises RefusedError."""
    found = Sections({"fail2ban_confpath": str(base.parent)})
    for path in ordered(base):
        for each in _included(path, ()):
            found.add(*each)
    return found


def included(path: Path) -> set[str]:
    """Return the names of the files that a file includes. Raises RefusedError."""
    parser = _parsed(path)
    texts = [parser.get("INCLUDES", moment, fallback="") for moment in ("before", "after")]
    return {Path(name.strip()).stem for text in texts for name in text.split("\n") if name.strip()}


def _there(paths: Iterable[Path]) -> list[Path]:
    return [path for path in paths if path.is_file()]


def _included(
    path: Path, above: tuple[Path, ...]
) -> Iterable[tuple[Path, configparser.RawConfigParser]]:
    """Yield a file between those that its [INCLUDES] names before and after it."""
    if path in above:
        raise RefusedError(f"{path}: it includes itself")
    parser = _parsed(path)
    for moment in ("before", "after"):
        if moment == "after":
            yield path, parser
        names = parser.get("INCLUDES", moment, fallback="").split("\n")
        for name in filter(None, (name.strip() for name in names)):
            for other in _with_local(path.parent / name):
                yield from _included(other, (*above, path))


def _with_local(path: Path) -> list[Path]:
    local = [path.with_suffix(".local")] if path.suffix == ".conf" else []
    return _there([path, *local])


def _parsed(path: Path) -> configparser.RawConfigParser:
    parser = configparser.RawConfigParser(
        default_section="\0", inline_comment_prefixes=(";",), strict=False, interpolation=None
    )
    try:
        parser.read_string(path.read_text("utf-8"), str(path))
    except (configparser.Error, OSError, UnicodeDecodeError) as error:
        raise RefusedError(f"{path}: cannot be read: {error}".replace("\n", " ")) from None
    return parser
