# settings: where state and socket live when the configuration does not say.
import os
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

STATE = Path("/var/lib/pyfilter")
RUNTIME = Path("/run/pyfilter")


class Folders(Struct, frozen=True):
    """The folders used where a configuration names none."""

    state: str = str(STATE)
    runtime: str = str(RUNTIME)


def usual(environ: Mapping[str, str] = os.environ) -> Folders:
    """Return the system's folders, or the user's own for a user who cannot use those.

    The service runs without root too, in folders that systemd made for it; a user who may only
    look at a running daemon needs its runtime folder, not one of his own.
    """
    root = os.geteuid() == 0
    if root:
        return Folders()
    home = Path(environ.get("HOME") or "/nonexistent")
    state = Path(environ.get("XDG_STATE_HOME") or home / ".local/state") / "pyfilter"
    runtime = environ.get("XDG_RUNTIME_DIR")
    return Folders(
        state=str(STATE if os.access(STATE, os.W_OK) else state),
        runtime=str(
            RUNTIME if RUNTIME.exists() else Path(runtime) / "pyfilter" if runtime else state
        ),
    )
