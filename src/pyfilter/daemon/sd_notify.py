# What systemd is told, by the protocol of sd_notify(3).
import os
import socket


def tell_systemd(*states: str) -> None:
    """Send states such as READY=1; without systemd, or when it is deaf, nothing happens."""
    place = os.environ.get("NOTIFY_SOCKET")
    if not place:
        return
    address = "\0" + place[1:] if place.startswith("@") else place
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as line:
        line.setblocking(False)
        try:
            line.sendto("\n".join(states).encode(), address)
        except OSError:
            return  # systemd is restarting; the next message will find it


def watchdog_interval() -> float | None:
    """Return how often, in seconds, systemd wants a sign of life: half of its patience."""
    microseconds = os.environ.get("WATCHDOG_USEC", "")
    return int(microseconds) / 2e6 if microseconds.isdigit() else None
