# blacklist: the bans as files in iptables-save form; an edit by hand becomes releases and bans.
from pyfilter.blacklist.pair import Blacklist, Edits

__all__ = ["Blacklist", "Edits"]
