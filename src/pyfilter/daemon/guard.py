# Keeps protection true: surroundings, sessions, names behind entries, allowances at run time.
import asyncio
import logging
import socket

from pyfilter.addresses import Network, network
from pyfilter.enforcer import Enforcer
from pyfilter.errors import FirewallError, LedgerError
from pyfilter.model import Allowance, Release
from pyfilter.protection.sessions import Sessions
from pyfilter.protection.surroundings import surroundings

_log = logging.getLogger(__name__)
RESOLVE_EVERY = 300.0  # seconds between two look-ups of the configured names


class Guard:
    """Brings protection up to date and makes firewall and bans follow it."""

    def __init__(self, enforcer: Enforcer) -> None:
        self.enforcer = enforcer
        self._protection = enforcer.protection
        self.sessions = Sessions(self._protection)
        self._shown: list[Network] = []

    def load(self) -> None:
        """Take up the allowances of an earlier run, and all else that the start must know."""
        try:
            known = self.enforcer.ledger.allowances(self.enforcer.clock())
        except LedgerError as error:
            _log.error("The allowlist made at run time could not be read: %s", error)
            known = []
        self._protection.allowances = {a.entry: a for a in known}
        self._protection.surroundings = surroundings()
        self._protection.rebuild()
        self.sessions.refresh()

    def look_around(self) -> None:
        """Read own addresses, gateways, resolvers and sessions anew; tell the firewall."""
        protection = self._protection
        around = surroundings()
        if around != protection.surroundings:
            protection.surroundings = around
            protection.rebuild()
        self.sessions.refresh()
        protection.expire(self.enforcer.clock())
        self.show()

    def show(self) -> None:
        """Tell the firewall what it must let through, when that has changed."""
        networks = self._protection.networks()
        if networks == self._shown:
            return
        try:
            self.enforcer.firewall.protect(networks)
            self._shown = networks
        except FirewallError as error:
            self.enforcer.complain(error)
        self._release_protected()

    def _release_protected(self) -> None:
        now, protection = self.enforcer.clock(), self._protection
        self.enforcer.apply(
            Release(subject, now, "allowlist")
            for subject in list(self.enforcer.standing)
            if protection.shield(subject)
        )

    def allow(self, *allowances: Allowance) -> None:
        """Add entries at run time; raises LedgerError when one could not be remembered."""
        for allowance in allowances:
            self.enforcer.ledger.allow(allowance)
            self._protection.allowances[allowance.entry] = allowance
        self._protection.rebuild()
        self.show()

    def disallow(self, entry: str) -> bool:
        """Take an entry away; say whether there was one."""
        known = self.enforcer.ledger.disallow(entry)
        if self._protection.allowances.pop(entry, None):
            self._protection.rebuild()
            self.show()
            known = True
        return known

    async def resolve(self) -> None:
        """Look the configured host names up once; a name that fails keeps what it had."""
        loop = asyncio.get_running_loop()
        for name in self._protection.names():
            try:
                found = await loop.getaddrinfo(name, None, type=socket.SOCK_STREAM)
            except OSError as error:
                _log.warning("The allowed name %s could not be resolved: %s", name, error)
                continue
            self._protection.resolved[name] = tuple({network(str(a[4][0])) for a in found})
        self._protection.rebuild()
        self.show()

    async def resolve_for_ever(self) -> None:
        """Look the names up now and every RESOLVE_EVERY seconds while there are any."""
        while self._protection.names():
            await self.resolve()
            await asyncio.sleep(RESOLVE_EVERY)
