# Desired state is the ledger; the kernel is brought back to it, whoever changed it.
import logging
from collections.abc import Iterable, Mapping

from pyfilter.addresses import Network
from pyfilter.enforcer.door import Enforcer
from pyfilter.errors import FirewallError
from pyfilter.model import Ban, Blocked, History, Release

_log = logging.getLogger(__name__)
_SLACK = 5.0  # seconds by which a kernel timeout may differ before it is set anew
_LONGEST_TIMEOUT = 2_000_000.0  # seconds; ipset takes no more than 2147483, sweeps prolong it


class Reconciler:
    """Compares what the kernel holds with the bans in force and mends the difference."""

    def __init__(self, enforcer: Enforcer) -> None:
        self._enforcer = enforcer

    def start(self) -> None:
        """Make the firewall ready and take up what it holds of an earlier run."""
        firewall = self._enforcer.firewall
        firewall.open()
        firewall.protect(self._enforcer.protection.networks())
        held = self._enforcer.listed(firewall.blocked())
        self._adopt(held.values())
        self._settle(held)

    def _settle(self, held: Mapping[Network, Blocked]) -> int:
        """Bring the kernel to what it should hold, what goes first makes room for the rest.

        Returns in how many places it differed.
        """
        enforcer, now = self._enforcer, self._enforcer.clock()
        desired = enforcer.desired()
        extra = [Release(subject, now, "expired") for subject in held.keys() - desired.keys()]
        missing = [
            ban
            for subject, ban in desired.items()
            if (there := held.get(subject)) is None or _differs(ban, there, now)
        ]
        enforcer.left_out = enforcer.lacking(desired)
        enforcer.block(extra)
        enforcer.block(missing)
        return len(extra) + len(missing)

    def _adopt(self, blocked: Iterable[Blocked]) -> None:
        """Take elements that the ledger lost (a power cut) as bans with their remaining time."""
        now, adopted = self._enforcer.clock(), []
        strange = [one for one in blocked if one.subject not in self._enforcer.standing]
        histories = self._enforcer.histories([element.subject for element in strange])
        for element in strange:
            history = histories.get(element.subject, History())
            if history.last_released or (history.last_banned and element.remaining is None):
                continue
            until = None if element.remaining is None else now + element.remaining
            reason = "found in the firewall at start"
            adopted.append(Ban(element.subject, now, until, reason, strike=history.strikes or 1))
        self._enforcer.apply(adopted)

    def retry(self) -> None:
        """Try again what ledger and firewall could not take. Never raises."""
        enforcer = self._enforcer
        enforcer.record(())
        enforcer.block(list(enforcer.unapplied.values()))
        if enforcer.left_out:  # some of what had the room may have ended
            desired = enforcer.desired()
            enforcer.block([desired[one] for one in enforcer.left_out if one in desired])
        if not enforcer.unapplied and not enforcer.left_out:
            enforcer.trouble = ""

    def sound(self) -> bool:
        """Say cheaply whether our table stands and holds as many elements as it should."""
        return self._enforcer.firewall.intact(len(self._enforcer.desired()))

    async def mend(self) -> None:
        """Hold the kernel's own listing against the bans in force. Never raises."""
        enforcer = self._enforcer
        try:
            enforcer.firewall.open()
            enforcer.firewall.protect(enforcer.protection.networks())
            held = await enforcer.blocked()
        except FirewallError as error:
            enforcer.complain(error)
            return
        if mended := self._settle(held):
            enforcer.repairs += mended
            _log.warning("The firewall differed from the ledger in %d places: mended", mended)


def _differs(ban: Ban, held: Blocked, now: float) -> bool:
    if held.remaining is None:  # it does not end by itself: our own Release will end it
        return False
    if ban.until is None:
        return held.remaining < _LONGEST_TIMEOUT
    wanted = min(ban.until - now, _LONGEST_TIMEOUT)
    return abs(wanted - min(held.remaining, _LONGEST_TIMEOUT)) > _SLACK
