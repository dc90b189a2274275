# What this machine lives on: its own addresses, gateways, resolvers and who is logged in.
import os
import re
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

from pyfilter.addresses import Network, network
from pyfilter.errors import AddressError
from pyfilter.protection.shields import Shield

_PROC = Path("/proc/net")
_GATEWAY_FLAG = 0x2  # RTF_GATEWAY, linux/route.h
_ESTABLISHED = "01"  # linux/tcp_states.h
_USER_PROCESS = 7  # utmp(5)
# type, pid, line, id, user, host, exit, session, tv, addr_v6: utmp(5), 384 bytes on all of Linux
_UTMP = struct.Struct("<hxxi32s4s32s256shhiii16s20x")


def surroundings(proc: Path = _PROC, resolv: Path = Path("/etc/resolv.conf")) -> tuple[Shield, ...]:
    """Return own addresses, gateways and resolvers; what cannot be read is left out."""
    return (
        *(Shield(net, "this server's own address") for net in _own_v4(proc)),
        *(Shield(net, "this server's own address") for net in _own_v6(proc)),
        *(Shield(net, "a gateway of this server", firm=False) for net in _gateways(proc)),
        *(Shield(net, "a resolver of this server", firm=False) for net in _resolvers(resolv)),
        *(Shield(net, "the fleet's Redis", firm=False) for net in _connected()),
    )


def _connected() -> list[Network]:
    """Return to whom this process itself holds connections: of the fleet, nobody else."""
    found: set[Network] = set()
    for number in Path("/proc/self/fd").iterdir():
        try:
            if not number.is_socket():
                continue
            with socket.socket(fileno=os.dup(int(number.name))) as one:
                if one.family in {socket.AF_INET, socket.AF_INET6}:
                    found.add(network(one.getpeername()[0]))
        except (OSError, AddressError):
            continue
    return sorted(found)


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(errors="replace").splitlines()
    except OSError:
        return []


def _networks(texts: Iterator[str]) -> Iterator[Network]:
    for text in texts:
        try:
            yield network(text)
        except AddressError:
            continue


def _own_v4(proc: Path) -> set[Network]:
    """Read the local table of the routing trie: `|-- ADDRESS` followed by `/32 host LOCAL`."""
    text = "\n".join(_lines(proc / "fib_trie"))
    return set(_networks(m[1] for m in re.finditer(r"\|-- (\S+)\n\s+/32 host LOCAL", text)))


def _own_v6(proc: Path) -> set[Network]:
    rows = (line.split() for line in _lines(proc / "if_inet6"))
    return set(_networks(_v6(row[0]) for row in rows if len(row) > 1))


def _gateways(proc: Path) -> set[Network]:
    v4 = (line.split() for line in _lines(proc / "route")[1:])
    v6 = (line.split() for line in _lines(proc / "ipv6_route"))
    found = [_v4(row[2]) for row in v4 if len(row) > 3 and int(row[3], 16) & _GATEWAY_FLAG]
    found += [_v6(row[4]) for row in v6 if len(row) > 8 and int(row[8], 16) & _GATEWAY_FLAG]
    return set(_networks(iter(found)))


def _resolvers(resolv: Path) -> set[Network]:
    rows = (line.split() for line in _lines(resolv))
    return set(_networks(row[1] for row in rows if len(row) > 1 and row[0] == "nameserver"))


def _v4(native: str) -> str:
    """Turn the kernel's native-endian hex word into an address."""
    return socket.inet_ntop(socket.AF_INET, struct.pack("=I", int(native, 16)))


def _v6(packed: str) -> str:
    return socket.inet_ntop(socket.AF_INET6, bytes.fromhex(packed))


def connections(proc: Path = _PROC) -> set[tuple[Network, str]]:
    """Return (peer, peer's port) of every established TCP connection of this machine."""
    found = set()
    for line in [*_lines(proc / "tcp")[1:], *_lines(proc / "tcp6")[1:]]:
        row = line.split()
        if row[3] != _ESTABLISHED:
            continue
        peer, port = row[2].split(":")
        words = struct.unpack(f">{len(peer) // 8}I", bytes.fromhex(peer))
        packed = struct.pack(f"={len(words)}I", *words)
        family = socket.AF_INET if len(packed) == 4 else socket.AF_INET6
        found.add((network(socket.inet_ntop(family, packed)), str(int(port, 16))))
    return found


def logged_in(utmp: Path = Path("/run/utmp")) -> dict[Network, str]:
    """Return the remote addresses of the sessions in utmp and whose they are."""
    try:
        data = utmp.read_bytes()
    except OSError:
        return {}
    found = {}
    for record in _UTMP.iter_unpack(data[: len(data) // _UTMP.size * _UTMP.size]):
        kind, user, packed = record[0], record[4], record[11]
        if kind == _USER_PROCESS and any(packed):
            v4 = not any(packed[4:])
            family = socket.AF_INET if v4 else socket.AF_INET6
            peer = socket.inet_ntop(family, packed[:4] if v4 else packed)
            found[network(peer)] = user.rstrip(b"\0").decode(errors="replace")
    return found
