# fail2ban: one filter, every reference in it filled in for the jail that uses it.
from collections.abc import Callable, Mapping
from pathlib import Path

from msgspec import Struct

from pyfilter.cli.fail2ban.files import Sections, included, ordered, read
from pyfilter.cli.fail2ban.tags import substituted
from pyfilter.errors import RefusedError

_OF_THE_JAIL = (  # what a jail may say of its filter
    *("failregex", "ignoreregex", "prefregex", "datepattern", "maxlines", "journalmatch"),
)


class FilterText(Struct, frozen=True):
    """What a filter looks for; expressions still in fail2ban's own writing."""

    name: str
    failregex: tuple[str, ...] = ()
    ignoreregex: tuple[str, ...] = ()
    prefregex: str = ""
    datepattern: str = ""
    journalmatch: str = ""
    maxlines: int = 1
    names: bool = True  # <HOST> may be a name, which is then no address (usedns = no: it may not)
    own: bool = False  # the user changed it, or wrote it


def names(folder: Path) -> list[str]:
    """Return the filters that there are."""
    files = [*(folder / "filter.d").glob("*.conf"), *(folder / "filter.d").glob("*.local")]
    return sorted({file.stem for file in files})


Asked = Callable[[str, Mapping[str, str]], str | None]


def _nothing(_key: str, _known: Mapping[str, str]) -> None:
    return None


def parts(folder: Path) -> set[str]:
    """Return the names of filters that others include. Raises RefusedError."""
    return set().union(*(included(path) for path in (folder / "filter.d").glob("*.*")))


def filter_text(
    folder: Path, name: str, arguments: Mapping[str, str], jail: Asked = _nothing
) -> FilterText:
    """Return a filter as a jail uses it. Raises RefusedError.

    `jail` is asked for what it says in place of the filter, given what the filter says.
    """
    base = folder / "filter.d" / f"{name.removesuffix('.conf')}.conf"
    if not ordered(base):
        raise RefusedError(f"there is no filter {name}")
    sections = read(base)
    given = {"logtype": "file", **arguments}
    values = substituted(_values(sections, given))
    values = {key: values.get(key, "") for key in _OF_THE_JAIL}
    known = {f"known/{key}": value for key, value in values.items()}
    said = {key: jail(key, known) for key in _OF_THE_JAIL}
    own = {key: text for key, text in said.items() if text is not None}
    values |= {key: substituted({**known, key: text})[key] for key, text in own.items()}
    return FilterText(
        name=name,
        failregex=_lines(values["failregex"]),
        ignoreregex=_lines(values["ignoreregex"]),
        prefregex=values["prefregex"].strip(),
        datepattern=values["datepattern"].strip(),
        journalmatch=" ".join(values["journalmatch"].split()),
        maxlines=_whole(values["maxlines"]),
        own=bool(own) or any(path.suffix == ".local" for path in ordered(base)),
    )


def _values(sections: Sections, given: Mapping[str, str]) -> dict[str, str]:
    """Return all values of a filter; the jail's arguments win over [Init] and [Definition]."""
    values: dict[str, str] = {}
    listed = [("Definition", key) for key in sections.values["DEFAULT"]]
    listed += [("Definition", key) for key in sections.values.get("Definition", {})]
    listed += [("Init", key) for key in sections.values.get("Init", {})]
    for section, key in listed:
        values[key] = sections.get(section, key, given) or ""
        if section == "Init" or key in given:
            values[f"known/{key}"] = sections.get(section, key) or ""
    for section in sections.names():
        for key in sections.values[section]:
            values[f"{section}/{key}"] = sections.get(section, key, given) or ""
    return {**values, **given}


def _lines(text: str) -> tuple[str, ...]:
    return tuple(line for line in text.split("\n") if line.strip())


def _whole(text: str) -> int:
    return int(text) if text.strip().isdigit() else 1
