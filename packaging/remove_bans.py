# For install.sh --uninstall: takes away what our firewalls made in the kernel, and nothing else.
import sys

from pyfilter.errors import FirewallError
from pyfilter.firewalls import Iptables, Nftables


def main() -> int:
    """Remove the traces of every firewall; return how many would not go."""
    left = 0
    for settings in (Nftables(), Iptables()):
        try:
            firewall = settings.open()
        except (FirewallError, OSError):
            continue  # what is not on this machine left no trace
        try:
            firewall.remove()
        except (FirewallError, OSError) as error:
            sys.stderr.write(f"{firewall.name}: {error}\n")
            left += 1
    return left


if __name__ == "__main__":
    sys.exit(main())
