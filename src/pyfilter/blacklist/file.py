# One of the two files: written whole, compared with what we know of it, never an edit lost.
import hashlib
import os
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from msgspec import Struct

from pyfilter.addresses import Network
from pyfilter.blacklist.form import Form, parse, render
from pyfilter.errors import SettingsError

_PATIENCE = 10.0  # seconds that a half-written file has to become whole
_MOST_CHANGED = 20_000  # subjects remembered, for a file that was opened before we wrote again
_NOTHING: frozenset[Network] = frozenset()


class Change(Struct, frozen=True):
    """What one of our writings changed."""

    number: int
    subjects: frozenset[Network]


class BlacklistFile:
    """Tells what somebody else changed in a file, and brings it in line with the bans.

    A copy of our last writing in the state folder makes edits visible that were made while nobody
    watched. It is written after the file: a crash between the two looks like an edit that is in
    force already, never like one that nobody made.
    """

    def __init__(
        self, path: Path, copy: Path, ip_version: int, action: str, clock: Callable[[], float]
    ) -> None:
        self.path, self.trouble = path, ""
        self._copy, self._version, self._action, self._clock = copy, ip_version, action, clock
        self._changes: deque[Change] = deque()
        text = _read(copy) or ""
        try:
            known = parse(text, ip_version)
        except SettingsError:  # no copy, or not ours: every line of the file is news
            text, known = "", Form(_NOTHING)
        self._seen = self._copied = _digest(text)
        self._said = self._agreed = known.subjects
        self._number = known.number or 0
        self._broken = b"", 0.0  # what could not be read, and since when

    def edits(self) -> tuple[frozenset[Network], frozenset[Network]]:
        """Return (removed, added) by somebody else since the last look; never raises.

        A broken file changes nothing: `trouble` then names its line.
        """
        text = _read(self.path)
        if text is None or _digest(text) == self._seen:
            return _NOTHING, _NOTHING
        try:
            form = parse(text, self._version)
            ours = self._changed_since(form.number)
        except SettingsError as error:
            self.trouble = f"{self.path}: {error}"
            return _NOTHING, _NOTHING
        removed = self._agreed - form.subjects - ours
        added = form.subjects - self._agreed - ours
        self.trouble, self._seen, self._said = "", _digest(text), form.subjects
        self._agreed = (self._agreed - removed) | added
        self._number = max(self._number, form.number or 0)
        return removed, added

    def _changed_since(self, number: int | None) -> frozenset[Network]:
        """Return what we changed after the writing that an edited file goes back to.

        An editor may hold an older text than the last one; what we wrote since is no edit.
        """
        if number is None or number >= self._number:
            return _NOTHING
        oldest = self._changes[0].number if self._changes else self._number + 1
        if number + 1 < oldest:
            raise SettingsError("line 1: was opened too long ago; open it again and edit that")
        return _NOTHING.union(*(c.subjects for c in self._changes if c.number > number))

    def write(self, subjects: frozenset[Network]) -> bool:
        """Make the file say what is banned; never raises.

        False: not now, because somebody is editing it (look at `edits` first, then write again) or
        because it cannot be written (`trouble` says why).
        """
        try:
            text = _read(self.path)
            if text is not None and _digest(text) != self._seen and not self._laid_aside(text):
                return False
            if text is None or subjects != self._said:
                text = self._rewrite(subjects)
            if self._copied != _digest(text):
                _replace(self._copy, text)
                self._copied = _digest(text)
        except OSError as error:
            self.trouble = f"{error.filename or self.path}: cannot be written: {error.strerror}"
            return False
        self._agreed = subjects
        return True

    def _rewrite(self, subjects: frozenset[Network]) -> str:
        number = self._number + 1
        text = render(subjects, self._version, self._action, self._clock(), number)
        _replace(self.path, text)
        self._changes.append(Change(number, self._agreed ^ subjects))
        while sum(len(change.subjects) for change in self._changes) > _MOST_CHANGED:
            self._changes.popleft()
        self._number, self._said, self._seen, self.trouble = number, subjects, _digest(text), ""
        return text

    def _laid_aside(self, text: str) -> bool:
        """Put a file away that has been broken for long; say whether there is room to write."""
        try:
            parse(text, self._version)
        except SettingsError as error:
            if self._broken[0] != _digest(text):
                self._broken = _digest(text), self._clock()
            if self._clock() - self._broken[1] < _PATIENCE:
                return False
            aside = self.path.with_name(f"{self.path.name}.broken")
            self.path.replace(aside)
            self.trouble = f"{aside}: {error}"
            return True
        return False  # an edit that nobody has looked at yet


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _read(path: Path) -> str | None:
    try:
        return path.read_bytes().decode("utf-8", "backslashreplace") if path.is_file() else None
    except OSError:
        return None


def _replace(path: Path, text: str) -> None:
    """Write a file whole beside the old one, with its mode and owner, and put it in its place.

    Not synced: what a power cut leaves of it is whole or broken, and a broken file changes nothing.
    """
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    with new.open("x", encoding="utf-8") as file:
        with suppress(FileNotFoundError):
            old = path.stat()
            os.fchmod(file.fileno(), old.st_mode & 0o7777)
            with suppress(PermissionError):  # without root the owner is ours already, or stays so
                os.fchown(file.fileno(), old.st_uid, old.st_gid)
        file.write(text)
    new.replace(path)
