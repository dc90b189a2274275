# The keys of the bouncers that may read our bans; only their hashes are kept.
import hashlib
import hmac
import os
import secrets
import time
from pathlib import Path

import msgspec
from msgspec import Struct

from pyfilter.errors import PrivilegeError, RefusedError, SettingsError

_NAME_LENGTH = 64


class Bouncer(Struct, frozen=True):
    """One bouncer; `digest` is the SHA-256 of its key, which has 256 bits of chance in it."""

    name: str
    digest: str
    added: float


class Keys:
    """The bouncers in their file; whoever serves sees changes at the next request."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._seen: tuple[int, int] | None = None
        self._bouncers: list[Bouncer] = []

    def bouncers(self) -> list[Bouncer]:
        """Return all bouncers; raises SettingsError when the file is damaged."""
        try:
            found = self._file.stat()
            if self._seen != (found.st_mtime_ns, found.st_size):
                self._bouncers = msgspec.json.decode(self._file.read_bytes(), type=list[Bouncer])
                self._seen = (found.st_mtime_ns, found.st_size)
        except FileNotFoundError:
            return []
        except PermissionError:
            raise PrivilegeError(f"cannot read {self._file}: try again with sudo") from None
        except msgspec.DecodeError as error:
            raise SettingsError(f"{self._file} is damaged ({error}): delete it, add anew") from None
        return list(self._bouncers)

    def name_of(self, key: str) -> str | None:
        """Return whose key it is; the time it takes tells nothing."""
        digest = _digest(key)
        names = [b.name for b in self.bouncers() if hmac.compare_digest(b.digest, digest)]
        return names[0] if names else None

    def add(self, name: str) -> str:
        """Make a bouncer and return its key, which is shown this once."""
        if not name.isprintable() or not 0 < len(name) <= _NAME_LENGTH:
            raise RefusedError(f"a bouncer's name has 1 to {_NAME_LENGTH} printable characters")
        bouncers = self.bouncers()
        if any(b.name == name for b in bouncers):
            raise RefusedError(f"there is a bouncer {name!r} already: delete it first")
        key = secrets.token_urlsafe(32)
        self._write([*bouncers, Bouncer(name, _digest(key), time.time())])
        return key

    def delete(self, name: str) -> None:
        bouncers = self.bouncers()
        kept = [b for b in bouncers if b.name != name]
        if len(kept) == len(bouncers):
            raise RefusedError(f"there is no bouncer {name!r}; `pyfilter bouncers list` shows them")
        self._write(kept)

    def _write(self, bouncers: list[Bouncer]) -> None:
        draft = self._file.with_suffix(".new")
        try:
            self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            owner = self._file.parent.stat()
            handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
            with os.fdopen(handle, "wb") as out:
                out.write(msgspec.json.encode(bouncers))
                if os.geteuid() == 0:  # the service reads it as its own user
                    os.fchown(handle, owner.st_uid, owner.st_gid)
            draft.replace(self._file)
        except PermissionError:
            raise PrivilegeError(f"cannot write {self._file}: try again with sudo") from None


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()
