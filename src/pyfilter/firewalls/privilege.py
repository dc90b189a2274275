# What every firewall says to a process that may not touch the kernel's.
from pyfilter.errors import FirewallError


def unprivileged() -> FirewallError:
    return FirewallError(
        "the firewall needs CAP_NET_ADMIN: run as root, give the service "
        "AmbientCapabilities=CAP_NET_ADMIN, or only watch with --observe",
        recoverable=False,
        privilege=True,
    )
