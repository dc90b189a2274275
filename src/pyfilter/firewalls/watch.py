# Tells what others do to a table of nf_tables from what we do to it ourselves.
# The kernel numbers transactions one by one, and each notice bears the number of its transaction.
from collections.abc import Sequence

from pyfilter.firewalls.bell import Bell, generations
from pyfilter.firewalls.netlink import Change, Netlink
from pyfilter.firewalls.wire import ECHO, NEWTABLE, attribute

_TABLE = 1
_GENERATIONS = 1 << 32
_LOWER = 0xFFFF


class Watch:
    """Counts transactions: as long as all were ours, nobody else has touched anything."""

    def __init__(self, table: str, families: frozenset[int]) -> None:
        self._mark = attribute(_TABLE, table)
        self._families = families
        self._netlink = Netlink()
        self._generation = -1  # of the ruleset when only we had touched it since it was in order
        self._ours: set[int] = set()  # lower halves of our transactions since the last ring
        self._bell: Bell | None = None

    def generation(self) -> int:
        """Return the number of the last transaction on any table, whoever made it."""
        return self._netlink.generation()

    def trust(self, generation: int) -> None:
        """Take what was there at a generation as in order."""
        self._generation = generation

    def untouched(self) -> bool:
        return self._netlink.generation() == self._generation

    def commit(self, changes: Sequence[Change]) -> str:
        """Change our table in one transaction; return why it was refused, empty on success.

        It rings no bell. A new table of the name of ours changes nothing where that is there, and
        its echo is the number alone, not all the elements again.
        """
        verdict = self._netlink.commit([Change(NEWTABLE, ECHO, self._mark), *changes])
        after = verdict.generation
        if after is not None and after == (self._generation + 1) % _GENERATIONS:
            self._generation = after
        return verdict.refusal

    def made(self, before: int, most: int = 1) -> None:
        """Count the transactions of a tool since `before` as ours, unless they are too many."""
        after = self._netlink.generation()
        count = (after - before) % _GENERATIONS
        if not 0 < count <= most:
            return
        if self._bell is not None:
            self._ours.update((before + one) & _LOWER for one in range(1, count + 1))
        if before == self._generation:
            self._generation = after

    def bell(self) -> int:
        """Return the descriptor that turns readable when others act; raises FirewallError."""
        if self._bell is None:
            self._bell = Bell(self._netlink.port)
        return self._bell.fileno()

    def rung(self) -> bool:
        """Empty the bell; say whether somebody else touched the table, or may have."""
        if self._bell is None:
            return False
        notices, ours = self._bell.drain(), self._ours
        self._ours = set()
        if self.untouched():
            return False
        return notices is None or bool(generations(notices, self._mark, self._families) - ours)

    def close(self) -> None:
        self._netlink.close()
        if self._bell is not None:
            self._bell.close()
            self._bell = None
