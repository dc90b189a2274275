# Firewalls take decisions over into the kernel. The union below is the only list of them.
from pyfilter.firewalls.iptables import Iptables
from pyfilter.firewalls.nftables import Nftables
from pyfilter.firewalls.observe import Observe

AnyFirewall = Nftables | Iptables | Observe

__all__ = ["AnyFirewall", "Iptables", "Nftables", "Observe"]
