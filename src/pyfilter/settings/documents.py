# settings: the text of configuration files, before anybody reads a meaning into it.
from pathlib import Path

from msgspec import Struct

from pyfilter.errors import SettingsError


class Document(Struct, frozen=True):
    """One file as read."""

    path: str
    text: str


def documents_of(path: Path) -> list[Document]:
    """Return a file and those in pyfilter.d beside it, in the order of their names."""
    extra = sorted((path.parent / "pyfilter.d").glob("*.toml"))
    return [_document(one) for one in (path, *extra)]


def _document(path: Path) -> Document:
    try:
        return Document(str(path), path.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path}: is no UTF-8 text at byte {error.start}") from None
