# The chains of the iptables firewall: one of our own, jumped to before anybody else's rules.
from collections.abc import Iterable
from typing import Literal

from msgspec import Struct

from pyfilter.errors import FirewallError
from pyfilter.firewalls import tool
from pyfilter.firewalls.watch import Watch
from pyfilter.firewalls.wire import NFPROTO_IPV4, NFPROTO_IPV6

CHAIN, BANNED, REFUSE = "PYFILTER", "PYFILTER-BANNED", "PYFILTER-REFUSE"
_TOOLS = {4: "iptables", 6: "ip6tables"}
_PROHIBITED = {4: "icmp-admin-prohibited", 6: "icmp6-adm-prohibited"}
_WAIT = ("-w", "5")  # seconds for the lock that others may hold


class Place(Struct, frozen=True):
    """Where our chain hangs."""

    table: str
    hooks: tuple[str, ...]
    verdict: str  # on what is banned

    def save(self, family: int) -> str:
        """Return the table as iptables-save writes it, counters included."""
        return tool.run(f"{_TOOLS[family]}-save", "-c", "-t", self.table)

    def seal(self, family: int) -> str:
        """Return what changes when others touch our chains or get before our jumps."""
        lines = [line for name in (CHAIN, REFUSE) for line in self._chain(family, name)]
        for hook in self.hooks:
            lines += [line for line in self._chain(family, hook) if line.startswith("-A")][:1]
        return "\n".join(lines)

    def _chain(self, family: int, name: str) -> list[str]:
        """Return the rules of one chain; a whole table can be a hundred thousand of them."""
        command = (_TOOLS[family], *_WAIT, "-t", self.table, "-S", name)
        return tool.attempt(*command)[1].splitlines()

    def restore(self, family: int, lines: Iterable[str]) -> None:
        """Change our chains in one transaction; the rules of others stay."""
        text = "\n".join([f"*{self.table}", *lines, "COMMIT", ""])
        tool.run(f"{_TOOLS[family]}-restore", *_WAIT, "--noflush", text=text)

    def install(self, family: int, rules: Iterable[str]) -> None:
        """Fill our chain and have it jumped to first; single bans in a chain of theirs stay."""
        saved = self.save(family)
        lines = [f":{CHAIN} - [0:0]", f":{REFUSE} - [0:0]"]
        if f"\n:{BANNED} " not in saved:
            lines.append(f":{BANNED} - [0:0]")
        lines += [f"-A {CHAIN} {rule}" for rule in rules]
        if self.verdict.endswith(REFUSE):
            lines.append(f"-A {REFUSE} -p tcp -j REJECT --reject-with tcp-reset")
            lines.append(f"-A {REFUSE} -j REJECT --reject-with {_PROHIBITED[family]}")
        for hook in self.hooks:
            hooked = [rule for rule in _rules(saved) if rule.startswith(f"-A {hook} ")]
            jump = f"{hook} -j {CHAIN}"
            if hooked[:1] != [f"-A {jump}"]:
                lines += [f"-D {jump}"] * hooked.count(f"-A {jump}")
                lines.append(f"-I {hook} 1 -j {CHAIN}")
        self.restore(family, lines)

    def remove(self, family: int) -> None:
        """Take our chains and the jumps to them away, and a table that was there for us alone."""
        saved = self.save(family)
        chains = [name for name in (CHAIN, BANNED, REFUSE) if f"\n:{name} " in saved]
        if chains:
            jumps = [r for r in _rules(saved) if r.endswith(f" -j {CHAIN}")]
            lines = [rule.replace("-A", "-D", 1) for rule in jumps]
            lines += [f"-F {name}" for name in chains] + [f"-X {name}" for name in chains]
            self.restore(family, lines)
            self._tidy(family)

    def _tidy(self, family: int) -> None:
        saved = self.save(family)
        if self.table != "raw" or any(_rules(saved)) or " DROP [" in saved:
            return
        if tool.there("nft") and "nf_tables" in saved:  # the older iptables cannot drop a table
            protocol = "ip" if family == 4 else "ip6"
            tool.attempt("nft", "delete", "table", protocol, self.table)


def place(action: Literal["drop", "reject"]) -> Place:
    """Return where an action is possible.

    A drop is before connection tracking and DNAT, so established connections and containers are
    covered; iptables rejects in the chains of the table filter only.
    """
    if action == "drop":
        return Place("raw", ("PREROUTING",), "-j DROP")
    return Place("filter", ("INPUT", "FORWARD"), f"-g {REFUSE}")


def usable(where: Place, family: int) -> bool:
    """Say whether the kernel knows the family; raises FirewallError where IPv4 is not to be had."""
    command = (_TOOLS[family], *_WAIT, "-t", where.table, "-S", where.hooks[0])
    code, _, errors = tool.attempt(*command)
    if code and family == 4:
        raise FirewallError(f"iptables refused: {errors.splitlines()[0] if errors else code}")
    return code == 0


def watch(where: Place) -> Watch | None:
    """Return what tells changes of our table, None where iptables is older than nf_tables."""
    if "nf_tables" not in tool.run(_TOOLS[4], "-V"):
        return None
    return Watch(where.table, frozenset({NFPROTO_IPV4, NFPROTO_IPV6}))


def _rules(saved: str) -> list[str]:
    return [line.partition("] ")[2] for line in saved.splitlines() if line.startswith("[")]
