# The runtime folder: a lock that the one daemon holds, and the socket that lies beside it.
import fcntl
import os
import socket
import stat
from pathlib import Path

from pyfilter.errors import PrivilegeError, RefusedError, SettingsError

SOCKET = "control.sock"
LOCK = "pyfilter.lock"
_OURS = frozenset((SOCKET, LOCK))
_LONGEST = 107  # bytes of a socket's path, unix(7)


class Place:
    """Holds the lock of a runtime folder for as long as it is open."""

    def __init__(self, runtime_dir: Path | str) -> None:
        self.folder = Path(runtime_dir)
        self.socket_path = self.folder / SOCKET
        if len(os.fsencode(self.socket_path)) > _LONGEST:
            raise SettingsError(
                f"runtime_dir {self.folder} is too long for a socket: "
                f"name a folder of at most {_LONGEST - len(SOCKET) - 1} characters"
            )
        _make(self.folder)
        self._lock = _locked(self.folder / LOCK)

    def bound(self) -> socket.socket:
        """Return the socket, bound with mode 0600; one that a killed daemon left is replaced."""
        self.socket_path.unlink(missing_ok=True)
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            listening.bind(os.fspath(self.socket_path))
            self.socket_path.chmod(0o600)  # nobody can connect before it listens
        except OSError:
            listening.close()
            raise
        listening.setblocking(False)
        return listening

    def close(self) -> None:
        """Take the socket away and let the lock go."""
        if self._lock >= 0:
            self.socket_path.unlink(missing_ok=True)
            os.close(self._lock)
            self._lock = -1


def _make(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.stat()
        private = stat.S_IMODE(found.st_mode) & 0o077 == 0
        ours = found.st_uid == os.geteuid()
        # A folder that others use as well (/run, /tmp) must not be closed to them.
        if not private and ours and _OURS.issuperset(entry.name for entry in folder.iterdir()):
            folder.chmod(0o700)
        elif stat.S_IMODE(found.st_mode) & 0o022 or not (ours or os.geteuid() == 0):
            raise SettingsError(
                f"runtime_dir {folder} can be written by others: give PyFilter a folder of its own"
            )
    except PermissionError as error:
        raise PrivilegeError(
            f"cannot use runtime_dir {folder}: {error.strerror}; "
            "start with sudo or set runtime_dir to a folder of your own"
        ) from None
    except OSError as error:
        raise SettingsError(f"cannot use runtime_dir {folder}: {error.strerror}") from None


def _locked(path: Path) -> int:
    try:
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except PermissionError:
        raise PrivilegeError(f"cannot write {path}: start with sudo") from None
    except OSError as error:
        raise SettingsError(f"cannot open {path}: {error.strerror}") from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        pid = os.read(lock, 20).decode(errors="replace").strip()
        os.close(lock)
        raise RefusedError(
            f"PyFilter runs already (process {pid or 'unknown'}, {path.parent}): "
            "stop it first or set another runtime_dir"
        ) from None
    os.ftruncate(lock, 0)
    os.write(lock, f"{os.getpid()}\n".encode())
    return lock
