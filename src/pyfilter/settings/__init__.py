# settings: reads a configuration, whichever form it has, into one tree.
import os
from pathlib import Path

from pyfilter.settings import toml
from pyfilter.settings.folders import Folders, usual
from pyfilter.settings.library import Library, shipped
from pyfilter.settings.tree import Settings

SYSTEM_FILE = Path("/etc/pyfilter/pyfilter.toml")
BUILT_IN = toml.Document("built-in defaults", "[rules.sshd]\n")

__all__ = ["Settings", "find", "load"]


def load(
    path: str | Path | None = None,
    *,
    folders: Folders | None = None,
    library: Library | None = None,
) -> Settings:
    """Return the settings of a file, or of the one that `find` names; raises SettingsError."""
    folders = folders or usual()
    library = library or shipped()
    chosen = Path(path) if path is not None else find()
    if chosen is None:
        return toml.read([BUILT_IN], folders, library)
    return toml.read(toml.documents_of(chosen), folders, library)


def find() -> Path | None:
    """Return $PYFILTER_CONFIG, else the system's file; None: neither, use built-in defaults."""
    named = os.environ.get("PYFILTER_CONFIG")
    if named:
        return Path(named)
    return SYSTEM_FILE if SYSTEM_FILE.exists() else None
