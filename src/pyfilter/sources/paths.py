# From configured paths and globs to the files that are there, and the folders whose changes matter.
import os
import stat
from fnmatch import fnmatch
from glob import escape

from msgspec import Struct

_LINKS = 40  # as many links in a row as the kernel follows


class Found(Struct):
    """What a look at the file system gave."""

    files: dict[str, str]  # path as configured (globs filled in) -> the file's real path
    folders: dict[str, set[str]]  # folder -> names in it whose coming and going matters
    missing: dict[str, str]  # path as configured -> where it would be
    refused: dict[str, str]  # path -> why it cannot be read


def look(patterns: tuple[str, ...]) -> Found:
    """Return what stands behind paths and globs (`*`, `?`, `[…]`, `**` for folders below)."""
    found = Found({}, {}, {}, {})
    for pattern in patterns:
        parts = [part for part in os.path.abspath(pattern).split("/") if part]
        _walk(found, "", "/", parts)
    _leave_out_rotated(found, patterns)
    return found


def rotations(path: str) -> list[str]:
    """Return the uncompressed rotated forms of a log, the oldest first."""
    folder, name = os.path.split(path)
    try:
        names = [entry for entry in os.listdir(folder) if is_rotation(entry, name)]
    except OSError:
        return []
    dated = []
    for entry in names:
        try:
            status = os.lstat(os.path.join(folder, entry))
        except OSError:
            continue
        if stat.S_ISREG(status.st_mode):
            dated.append((status.st_mtime_ns, os.path.join(folder, entry)))
    return [entry for _, entry in sorted(dated)]


def is_rotation(entry: str, name: str) -> bool:
    """Say whether an entry is a rotated log of that name.

    As logrotate and its like name them: NAME.1, NAME-20260101, NAME.old, STEM-20260101.log.
    """
    stem, extension = os.path.splitext(name)
    if entry.startswith(name):
        rest = entry[len(name) :]
    elif extension and entry.startswith(stem) and entry.endswith(extension):
        rest = entry[len(stem) : -len(extension)]
    else:
        return False
    return rest == ".old" or (
        rest[:1] in {".", "-", "_"}
        and rest[1:2].isdigit()
        and all(letter in "0123456789.-_T:" for letter in rest[1:])
    )


def _leave_out_rotated(found: Found, patterns: tuple[str, ...]) -> None:
    # A glob such as auth.log* takes in auth.log.1 too, whose lines were read as auth.log's.
    by_folder: dict[str, set[str]] = {}
    for path in found.files:
        folder, name = os.path.split(path)
        by_folder.setdefault(folder, set()).add(name)
    for path in [path for path in found.files if path not in patterns]:
        folder, name = os.path.split(path)
        if any(is_rotation(name, other) for other in by_folder[folder] if other != name):
            del found.files[path]


def _magic(name: str) -> bool:
    return any(letter in name for letter in "*?[")


def _walk(found: Found, shown: str, real: str, parts: list[str]) -> None:
    found.folders.setdefault(real, set())
    name, rest = parts[0] if parts else "", parts[1:]
    if not _magic(name):
        _step(found, f"{shown}/{name}", real, parts, globbed=False)
        return
    found.folders[real].add("*" if name == "**" else name)
    if name == "**" and rest:
        _walk(found, shown, real, rest)
    try:
        entries = sorted(os.listdir(real))
    except OSError as error:
        found.refused[shown or "/"] = error.strerror or str(error)
        return
    for entry in entries:
        if entry.startswith(".") and not name.startswith("."):
            continue
        if name == "**":
            if os.path.isdir(f"{real}/{entry}") and not os.path.islink(f"{real}/{entry}"):
                _walk(found, f"{shown}/{entry}", os.path.join(real, entry), parts)
        elif fnmatch(entry, name):
            _step(found, f"{shown}/{entry}", real, [entry, *rest], globbed=True)


def _step(found: Found, shown: str, real: str, parts: list[str], *, globbed: bool) -> None:
    name, rest = parts[0] if parts else ".", parts[1:]
    path = "/".join([shown, *rest])
    try:
        target = _resolve(found, real, name)
        status = os.lstat(target)
    except (FileNotFoundError, NotADirectoryError):
        found.folders.setdefault(real, set()).add(escape(name))
        if not globbed:
            found.missing[path] = path if rest else os.path.join(real, name)
            found.folders[real].update(set() if rest else _near(name))
        return
    except OSError as error:
        found.folders.setdefault(real, set()).add(escape(name))
        found.folders.setdefault(os.path.dirname(real), set()).add(escape(os.path.basename(real)))
        found.refused[path] = error.strerror or str(error)
        return
    if rest:
        if stat.S_ISDIR(status.st_mode):
            _walk(found, shown, target, rest)
        elif not globbed:
            found.refused[path] = f"{shown} is no folder"
        return
    found.folders.setdefault(real, set()).add(escape(name))
    if stat.S_ISREG(status.st_mode):
        found.files[path] = target
        found.folders.setdefault(os.path.dirname(target), set()).update(_near(target))
    elif not globbed:
        found.refused[path] = f"is {_kind(status.st_mode)}, not a log file"


def _resolve(found: Found, folder: str, name: str, hops: int = 0) -> str:
    """Return the real path of an entry; every link on the way is watched. Raises OSError."""
    path = os.path.join(folder, name)
    if not stat.S_ISLNK(os.lstat(path).st_mode):
        return path
    found.folders.setdefault(folder, set()).add(escape(name))
    if hops >= _LINKS:
        raise OSError(0, "too many links lead to each other")
    target = os.readlink(path)
    real = "/" if target.startswith("/") else folder
    for part in target.split("/"):
        if part == "..":
            real = os.path.dirname(real)
        elif part not in {"", "."}:
            found.folders.setdefault(real, set())
            try:
                real = _resolve(found, real, part, hops + 1)
            except FileNotFoundError:
                found.folders[real].add(escape(part))
                raise
    found.folders.setdefault(os.path.dirname(real), set()).add(escape(os.path.basename(real)))
    return real


def _near(path: str) -> set[str]:
    """Return patterns of the names that a file and its rotated forms bear."""
    name = os.path.basename(path)
    stem, extension = os.path.splitext(name)
    return {f"{escape(name)}*", f"{escape(stem)}[-._]*{escape(extension)}"}


def _kind(mode: int) -> str:
    kinds = (
        (stat.S_ISDIR, "a folder"),
        (stat.S_ISFIFO, "a FIFO"),
        (stat.S_ISSOCK, "a socket"),
        (stat.S_ISCHR, "a device"),
        (stat.S_ISBLK, "a device"),
    )
    return next((words for test, words in kinds if test(mode)), "something else")
