# settings: reads a configuration, whichever form it has, into one tree.
import os
from pathlib import Path

from msgspec import structs

from pyfilter.settings import pyfilter_json, toml
from pyfilter.settings.documents import Document, documents_of
from pyfilter.settings.library import Library, shipped
from pyfilter.settings.rules import porous
from pyfilter.settings.surroundings import Surroundings, present
from pyfilter.settings.tree import Settings

SYSTEM_FILE = Path("/etc/pyfilter/pyfilter.toml")
BUILT_IN = Document("built-in defaults", "[rules.sshd]\n")

__all__ = ["Settings", "find", "load"]


def load(
    path: str | Path | None = None,
    *,
    around: Surroundings | None = None,
    library: Library | None = None,
) -> Settings:
    """Return the settings of a file, or of the one that `find` names; raises SettingsError."""
    around = around or present()
    library = library or shipped()
    chosen = Path(path) if path is not None else find()
    if chosen is None:
        return toml.read([BUILT_IN], around, library)
    documents = documents_of(chosen)
    if chosen.suffix == ".json" or documents[0].text.lstrip().startswith("{"):
        found = pyfilter_json.read(chosen, documents[0].text, around, library)
    else:
        found = toml.read(documents, around, library)
    return structs.replace(found, warnings=(*found.warnings, *porous(found.rules)))


def find() -> Path | None:
    """Return $PYFILTER_CONFIG, else the system's file; None: neither, use built-in defaults."""
    named = os.environ.get("PYFILTER_CONFIG")
    if named:
        return Path(named)
    return SYSTEM_FILE if SYSTEM_FILE.exists() else None
