# Members of the iptables firewall in ipsets: one hash:net a family holds hosts and networks alike.
import math
import re
from collections.abc import Collection, Iterable, Sequence

from pyfilter.addresses import Network, version
from pyfilter.errors import FirewallError
from pyfilter.firewalls import tool
from pyfilter.firewalls.batch import Batch, merged
from pyfilter.firewalls.chains import Place
from pyfilter.model import Blocked

_LONGEST = 2_147_483  # seconds; the kernel takes no more, so the sweep prolongs what is longer
_FAMILY = {4: "inet", 6: "inet6"}
_HALVES = {"0.0.0.0/0": ("0.0.0.0/1", "128.0.0.0/1"), "::/0": ("::/1", "8000::/1")}
_MEMBER = re.compile(r"^add \S+ (\S+) timeout (\d+) packets (\d+)", re.MULTILINE)
_ENTRIES = re.compile(r"^Number of entries: (\d+)$", re.MULTILINE)


def usable() -> bool:
    """Say whether the tool and the kernel's side of it are there."""
    return tool.there("ipset") and tool.attempt("ipset", "list", "-n")[0] == 0


class Sets:
    """Bans as members of `pyfilter4` and `pyfilter6`, each with its end in the kernel."""

    def __init__(self, place: Place, size: int, families: Sequence[int]) -> None:
        self._place = place
        self._families = families
        self._size = size
        self.size: int | None = size
        self._room = {4: 0, 6: 0}  # members that surely still fit

    def prepare(self, family: int) -> None:
        """Make the sets of a family; members of an earlier run stay."""
        kind = f"hash:net family {_FAMILY[family]}"
        bans = f"{kind} maxelem {self._size} timeout 0 counters"
        tool.run("ipset", "restore", "-exist", text=f"create {_allowed(family)} {kind}\n")
        create = f"create {_banned(family)} {bans}\n"
        _, _, errors = tool.attempt("ipset", "restore", "-exist", text=create)
        if "already exists" in errors:  # of other settings: ours takes its place, members and all
            new = f"{_banned(family)}-new"
            lines = [f"create {new} {bans}", f"flush {new}"]
            lines += [_add(new, one.subject, one.remaining) for one in self._listed(family)]
            lines += [f"swap {new} {_banned(family)}", f"destroy {new}"]
            tool.run("ipset", "restore", "-exist", text=_text(lines))
        elif errors:
            raise FirewallError(f"ipset refused: {errors.splitlines()[0]}")

    def rules(self, family: int) -> list[str]:
        """Return the rules of our main chain."""
        return [
            f"-m set --match-set {_allowed(family)} src -j RETURN",
            f"-m set --match-set {_banned(family)} src {self._place.verdict}",
        ]

    def apply(self, batch: Batch) -> None:
        """Change members in one run of ipset, releases first.

        ipset takes line by line and stops at the first that it cannot take. The only such line is
        one that finds its set full, so the room is looked at before anything is changed.
        """
        lines = []
        for family in self._families:
            name = _banned(family)
            bans = {one: left for one, left in batch.bans.items() if version(one) == family}
            self._make_sure_of_room(family, bans)
            lines += [f"del {name} {one}" for one in batch.releases if version(one) == family]
            lines += [_add(name, one, left) for one, left in bans.items()]
        tool.run("ipset", "restore", "-exist", text=_text(lines))

    def _make_sure_of_room(self, family: int, new: Collection[Network]) -> None:
        if len(new) > self._room[family]:
            held = {one.subject for one in self._listed(family)}
            self._room[family] = self._size - len(held)
            if sum(subject not in held for subject in new) > self._room[family]:
                raise FirewallError(
                    f"the firewall is full: a set holds {self._size} members; "
                    "raise `size` under [firewall]",
                    recoverable=False,
                )
        self._room[family] -= len(new)

    def protect(self, networks: Iterable[Network]) -> None:
        """Swap a new list of what is let through for the old one."""
        wanted = merged(networks)
        lines = []
        for family in self._families:
            name, new = _allowed(family), f"{_allowed(family)}-new"
            lines += [f"create {new} hash:net family {_FAMILY[family]}", f"flush {new}"]
            for one in wanted[family]:
                lines += [f"add {new} {half}" for half in _HALVES.get(one, (one,))]
            lines += [f"swap {new} {name}", f"destroy {new}"]
        tool.run("ipset", "restore", "-exist", text=_text(lines))

    def blocked(self) -> list[Blocked]:
        return [one for family in self._families for one in self._listed(family)]

    def _listed(self, family: int) -> list[Blocked]:
        code, listed, errors = tool.attempt("ipset", "save", _banned(family))
        if code and "does not exist" not in errors:
            raise FirewallError(f"ipset refused: {errors}")
        return [
            Blocked(Network(text), float(left) if left != "0" else None, int(packets))
            for text, left, packets in _MEMBER.findall(listed)
        ]

    def seal(self) -> str:
        """Return what changes when others touch more than members."""
        lines: list[str] = []
        for family in self._families:
            _, listed, errors = tool.attempt("ipset", "save", _allowed(family))
            lines += [*re.findall("^add .*", listed, re.MULTILINE), errors]
        return "\n".join(sorted(lines))

    def count(self) -> int | None:
        """Return the number of members, None where a set is gone."""
        total = 0
        for family in self._families:
            entries = _ENTRIES.search(tool.attempt("ipset", "list", "-t", _banned(family))[1])
            if entries is None:
                return None
            total += int(entries[1])
        return total

    def remove(self, family: int) -> None:
        for name in (_banned(family), _allowed(family)):
            tool.attempt("ipset", "destroy", name)


def _banned(family: int) -> str:
    return f"pyfilter{family}"


def _allowed(family: int) -> str:
    return f"pyfilter-allow{family}"


def _add(name: str, subject: Network, left: float | None) -> str:
    seconds = 0 if left is None else min(max(1, math.ceil(left)), _LONGEST)
    return f"add {name} {subject} timeout {seconds}"


def _text(lines: list[str]) -> str:
    return "\n".join([*lines, ""])
