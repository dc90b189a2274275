# settings: what a configuration leaves to the machine it is read on.
import ctypes
import os
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

STATE = Path("/var/lib/pyfilter")
RUNTIME = Path("/run/pyfilter")


class Surroundings(Struct, frozen=True):
    """What is used where a configuration does not say."""

    state: str = str(STATE)
    runtime: str = str(RUNTIME)
    firewall: str = "nftables"  # of a configuration of the original PyFilter


def present(environ: Mapping[str, str] = os.environ) -> Surroundings:
    """Return the system's folders, or the user's own for a user who cannot use those.

    The service runs without root too, in folders that systemd made for it; a user who may only
    look at a running daemon needs its runtime folder, not one of his own.
    """
    firewall = "nftables" if _nftables() else "iptables"
    if os.geteuid() == 0:
        return Surroundings(firewall=firewall)
    home = Path(environ.get("HOME") or "/nonexistent")
    state = Path(environ.get("XDG_STATE_HOME") or home / ".local/state") / "pyfilter"
    named = environ.get("XDG_RUNTIME_DIR")
    runtime = Path(named) / "pyfilter" if named else state
    return Surroundings(
        state=str(STATE if os.access(STATE, os.W_OK) else state),
        runtime=str(RUNTIME if RUNTIME.exists() else runtime),
        firewall=firewall,
    )


def _nftables() -> bool:
    try:
        ctypes.CDLL("libnftables.so.1")
    except OSError:
        return False
    return True
