# fail2ban: what becomes of a whole configuration: rules of ours where they do the same, rules of the
# user's own else, and for everything that was found a line that says which.
from collections.abc import Callable
from glob import glob
from pathlib import Path
from typing import Any, Literal

from msgspec import Struct

from pyfilter.cli.fail2ban import filters, jails
from pyfilter.cli.fail2ban.files import Sections, ordered, read
from pyfilter.cli.fail2ban.jails import Jail
from pyfilter.cli.fail2ban.rules import made, table
from pyfilter.errors import RefusedError
from pyfilter.matching import library
from pyfilter.matching.rule import Rule

_LOOPBACK = ("127.0.0.0/8", "::1")
_REPEATERS = "recidive"
_OWN_LOG = "it reads fail2ban's own log; say bantime_increment = true instead"
Fate = Literal["replaced", "translated", "in part", "left out", "included"]


class Row(Struct, frozen=True):
    """What became of a jail or a filter, and why."""

    kind: Literal["defaults", "jail", "filter"]
    name: str
    fate: Fate
    rule: str = ""
    reason: str = ""
    notes: tuple[str, ...] = ()


class Taking(Struct, frozen=True):
    """A configuration of ours in sections, and what became of each part of theirs."""

    sections: dict[str, dict[str, Any]]
    rows: tuple[Row, ...]
    own: tuple[tuple[Rule, tuple[str, ...]], ...] = ()  # rules of the user's own and their logs


def take(folder: Path) -> Taking:
    """Return what becomes of the configuration in a folder. Raises RefusedError."""
    if not ordered(folder / "jail.conf"):
        raise RefusedError(f"{folder}: there is no jail.conf or jail.local; name fail2ban's folder")
    sections = read(folder / "jail.conf")
    defaults, notes = jails.limits(sections, "DEFAULT")
    entries, more = jails.ignored(sections, "DEFAULT")
    taker = _Taker(folder, sections, defaults, entries, (*notes, *more))
    rows = [taker.jail(name) for name in jails.enabled(sections)]
    rows += [taker.filter(name) for name in filters.names(folder)]
    common = {"defaults": {**defaults, "ignoreip": [*_LOOPBACK, *entries]}}
    if notes or more:
        rows.insert(0, Row("defaults", "[DEFAULT]", "in part", notes=(*notes, *more)))
    return Taking({**common, **taker.sections}, tuple(rows), tuple(taker.own))


def ours() -> Callable[[str], str]:
    """Return what tells which of our rules replaces a filter, "" for none."""
    known: dict[str, list[str]] = {}
    for name in library.names():
        for theirs in library.load(name).fail2ban:
            known.setdefault(theirs, []).append(name)

    def replaces(theirs: str) -> str:
        found = known.get(theirs, [])
        return next((name for name in found if theirs.startswith(name)), found[0] if found else "")

    return replaces


class _Taker:
    """Takes jail after jail; sections and rules add up."""

    def __init__(
        self,
        folder: Path,
        theirs: Sections,
        defaults: dict[str, Any],
        ignoreip: tuple[str, ...],
        said: tuple[str, ...],
    ) -> None:
        self._folder, self._theirs = folder, theirs
        self._defaults, self._ignoreip, self._said = defaults, ignoreip, said
        self._ours = ours()
        self.sections: dict[str, dict[str, Any]] = {}
        self.own: list[tuple[Rule, tuple[str, ...]]] = []
        self._first: dict[str, str] = {}  # rule of ours -> the jail that it took its limits from

    def jail(self, name: str) -> Row:
        """Take one jail."""
        try:
            found = jails.jail(self._folder, self._theirs, name)
            if found.filter == _REPEATERS and not found.text.own:
                return Row("jail", name, "left out", reason=_OWN_LOG)
            rule = "" if found.text.own else self._ours(found.filter)
            return self._replace(found, rule) if rule else self._translate(found)
        except RefusedError as error:
            return Row("jail", name, "left out", reason=str(error))

    def _replace(self, found: Jail, rule: str) -> Row:
        section, notes = self._common(found), self._notes(found)
        chosen, unread = _chosen_paths(found, rule)
        if chosen:
            section["logpath"] = chosen
        notes += tuple(
            f"{path} is not there: rule {rule} looks for its logs itself" for path in unread
        )
        header = f"rules.{rule}"
        if header in self.sections:
            known = self.sections[header]
            paths = known.pop("logpath", []) + section.pop("logpath", [])
            if known != section:
                first = self._first[rule]
                notes += (f"one rule for both: the limits are those of jail {first}",)
            section = {**known, **({"logpath": list(dict.fromkeys(paths))} if paths else {})}
        self._first.setdefault(rule, found.name)
        self.sections[header] = section
        return Row("jail", found.name, "replaced", rule, notes=notes)

    def _translate(self, found: Jail) -> Row:
        name = found.name if found.name not in library.names() else f"{found.name}-fail2ban"
        rule = made(found.text, name, found.journal)
        section = self._common(found) | table(rule.rule)
        if found.logpath:
            section["logpath"] = _absolute(found.logpath)
        self.sections[f"rules.{name}"] = section
        self.own.append((rule.rule, found.logpath))
        fate: Fate = "in part" if rule.left else "translated"
        return Row(
            "jail", found.name, fate, name, notes=(*self._notes(found), *rule.left, *rule.slow)
        )

    def _notes(self, found: Jail) -> tuple[str, ...]:
        return tuple(note for note in found.notes if note not in self._said)

    def _common(self, found: Jail) -> dict[str, Any]:
        usual = self._defaults
        section = {key: value for key, value in found.limits.items() if usual.get(key) != value}
        more = [entry for entry in found.ignoreip if entry not in self._ignoreip]
        return section | ({"ignoreip": more} if more else {})

    def filter(self, name: str) -> Row:
        """Say what becomes of a filter, whether or not a jail uses it."""
        try:
            text = filters.filter_text(self._folder, name, {})
            if not text.failregex:
                return Row("filter", name, "included", reason="it has no failregex of its own")
            rule = "" if text.own else self._ours(name)
            if rule:
                return Row("filter", name, "replaced", rule)
            found = made(text, name)
        except RefusedError as error:
            if name in filters.parts(self._folder):
                return Row("filter", name, "included", reason="it is a part of other filters")
            return Row("filter", name, "left out", reason=str(error))
        fate: Fate = "in part" if found.left else "translated"
        return Row("filter", name, fate, notes=(*found.left, *found.slow))


def _absolute(paths: tuple[str, ...]) -> list[str]:
    wrong = [path for path in paths if not path.startswith("/")]
    if wrong:
        raise RefusedError(f"its logpath {wrong[0]!r} is no absolute path")
    return list(paths)


def _chosen_paths(found: Jail, rule: str) -> tuple[list[str], list[str]]:
    """Return the logs that our rule must be told of, and those that it will not be told of.

    Those that the user named, or that are there and not among its usual ones; a stock path that is
    not there would only keep the rule from reading the journal.
    """
    usual = library.load(rule).logpath
    odd = [path for path in found.logpath if path not in usual]
    there = list(found.logpath) if found.chosen else [path for path in odd if glob(path)]  # noqa: PTH207 - a Path finds no absolute ones
    return _absolute(tuple(there)), [path for path in odd if path not in there]
