# Who is at the other end of the socket, by the kernel's word, and what that person may do.
import grp
import os
import pwd
import socket
import struct

from msgspec import Struct

from pyfilter.control.requests import ROLES, Role

_UCRED = struct.Struct("3i")  # pid, uid, gid: unix(7), SO_PEERCRED
GROUP_ROLES: tuple[tuple[str, Role], ...] = (("pyfilter", "operator"), ("pyfilter-view", "viewer"))


class Caller(Struct, frozen=True):
    """A peer; `role` None may do nothing."""

    user: str
    uid: int
    role: Role | None

    def lowered(self, role: Role) -> "Caller":
        """Return the caller with no more than a role."""
        if self.role is None or ROLES.index(role) >= ROLES.index(self.role):
            return self
        return Caller(self.user, self.uid, role)

    def may(self, needs: Role) -> bool:
        return self.role is not None and ROLES.index(self.role) >= ROLES.index(needs)


def caller(connection: socket.socket) -> Caller:
    """Return who opened a connection: root and our own user are admin, groups give the rest."""
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
    _, uid, gid = _UCRED.unpack(raw)
    user = _name(uid)
    if uid in {0, os.geteuid()}:
        return Caller(user, uid, "admin")
    gids = set(os.getgrouplist(user, gid)) if user != str(uid) else {gid}
    for group, role in GROUP_ROLES:
        if _gid(group) in gids:
            return Caller(user, uid, role)
    return Caller(user, uid, None)


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _gid(group: str) -> int | None:
    try:
        return grp.getgrnam(group).gr_gid
    except KeyError:
        return None
