# A network namespace of the test's own, so that nothing here ever touches the machine's firewall.
import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_CLONE_NEWNET = 0x40000000
_LIBC = ctypes.CDLL(None, use_errno=True)
OURS = Path("/proc/thread-self/ns/net")


def may_make() -> bool:
    return os.geteuid() == 0


@contextmanager
def fresh() -> Iterator[None]:
    """Move this thread, and what it starts, into a new network namespace and back."""
    home = os.open(OURS, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _call(_LIBC.unshare(_CLONE_NEWNET))
        try:
            yield
        finally:
            _call(_LIBC.setns(home, _CLONE_NEWNET))
    finally:
        os.close(home)


@contextmanager
def inside(place: int) -> Iterator[None]:
    """Move this thread into the network namespace behind a descriptor and back."""
    home = os.open(OURS, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _call(_LIBC.setns(place, _CLONE_NEWNET))
        try:
            yield
        finally:
            _call(_LIBC.setns(home, _CLONE_NEWNET))
    finally:
        os.close(home)


def _call(result: int) -> None:
    if result != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
