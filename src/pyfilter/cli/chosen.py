# The rule that a command names: of the configuration, else of the library, else of a file.
import os
from pathlib import Path

from pyfilter.cli.context import Globals
from pyfilter.errors import RuleError, SettingsError
from pyfilter.matching import library
from pyfilter.matching.rule import Rule
from pyfilter.settings import toml
from pyfilter.settings.documents import Document, documents_of
from pyfilter.settings.library import shipped
from pyfilter.settings.limits import layered
from pyfilter.settings.rules import limits_of
from pyfilter.settings.section import nearest
from pyfilter.settings.surroundings import present
from pyfilter.settings.tree import RuleSettings, Settings


def configured(options: Globals) -> Settings:
    """Return the configuration; without one that can be read, what is built in.

    A file that was named must be good; the system's file may be for root's eyes only.
    """
    try:
        return options.settings()
    except SettingsError:
        if options.config or os.environ.get("PYFILTER_CONFIG"):
            raise
        return Settings()


def rule_settings(options: Globals, name: str) -> RuleSettings:
    """Return a rule as the daemon would run it; raises SettingsError with the nearest name."""
    if name.endswith(".toml") and Path(name).is_file():
        rule = read_rule(Path(name))
        return RuleSettings(rule, layered(limits_of(rule)))
    found = configured(options)
    if name in found.rules:
        return found.rules[name]
    if ours := name if name in library.names() else _known_elsewhere_as(name):
        return found.rules[ours] if ours in found.rules else _turned_on(found, ours)
    known = sorted({*found.rules, *library.names()})
    hint = nearest(name, known) or "; `pyfilter rules list` shows them"
    raise SettingsError(f"there is no rule {name!r}{hint}")


def _known_elsewhere_as(name: str) -> str:
    """Return our rule for what fail2ban or CrowdSec call by a name; empty if there is none."""
    every = map(library.load, library.names())
    return next((rule.name for rule in every if name in {*rule.fail2ban, *rule.crowdsec}), "")


def _turned_on(found: Settings, name: str) -> RuleSettings:
    """Return a rule of the library as one more line in the configuration would turn it on."""
    extra = Document("library", f"[rules.{name}]\n")
    path = Path(found.path)
    written = documents_of(path) if path.suffix == ".toml" and path.is_file() else []
    return toml.read([*written, extra], present(), shipped()).rules[name]


def read_rule(path: Path) -> Rule:
    """Return the rule in a file; raises RuleError."""
    try:
        return library.parse(path.read_text("utf-8"), path.stem)
    except (OSError, UnicodeDecodeError) as error:
        raise RuleError(f"{path}: cannot be read: {error}") from None
