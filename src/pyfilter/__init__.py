# PyFilter: reads what a server's services log and keeps attackers out with the kernel's firewall.
__version__ = "2.0.0"
