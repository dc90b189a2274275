# NETLINK_NETFILTER spoken directly: what stands in the kernel is asked, elements are told.
# nft itself lists every element even when asked to be terse, and reads the outline before each ban.
import errno
import os
import socket
import struct
from collections.abc import Iterator, Sequence

from msgspec import Struct

from pyfilter.errors import FirewallError
from pyfilter.firewalls import wire
from pyfilter.firewalls.privilege import unprivileged

_NETLINK_NETFILTER = 12
_BEGIN, _END = 0x10, 0x11  # of a batch; include/uapi/linux/netfilter/nfnetlink.h
_SOL_NETLINK, _CAP_ACK, _EXT_ACK = 270, 10, 11
_SO_SNDBUFFORCE = 32
_LAST_SEQUENCE = 1 << 31
DATAGRAM = 1 << 16
_PATIENCE = struct.pack("@ll", 5, 0)  # seconds: the kernel answers at once, or something is wrong
_ATTEMPTS = 3


class Change(Struct, frozen=True):
    """One message of a transaction."""

    kind: int
    flags: int
    body: bytes


class Verdict(Struct, frozen=True):
    """What became of a transaction."""

    refusal: str  # why the kernel took nothing of it; empty: it is in force
    generation: int | None = None  # its number, where the kernel tells


class Netlink:
    """One socket to nf_tables: requests and their answers."""

    def __init__(self) -> None:
        self._socket = opened(0)
        # not settimeout: Python would ask poll() before each call
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _PATIENCE)
        self._socket.setsockopt(_SOL_NETLINK, _CAP_ACK, 1)
        self._socket.setsockopt(_SOL_NETLINK, _EXT_ACK, 1)
        self._room = _room(self._socket)
        self._sequence = 0

    @property
    def port(self) -> int:
        """Return what the kernel knows the socket by."""
        return int(self._socket.getsockname()[0])

    def generation(self) -> int:
        """Return the number of the last transaction, whoever made it."""
        return wire.generation(b"".join(self.one(wire.GETGEN, b"")))

    def one(self, kind: int, selector: bytes) -> list[bytes]:
        """Return the attributes of the object that a selector names; nothing where it is absent."""
        answer: list[bytes] = []
        self._take(kind, 0, selector, answer)
        return answer

    def dump(self, kind: int, selector: bytes) -> list[bytes]:
        """Return the attributes of all selected objects.

        Where others change the ruleset meanwhile, asks again, and in the end takes what there is:
        then an element may be missing or there twice.
        """
        answer: list[bytes] = []
        for _ in range(_ATTEMPTS):
            answer.clear()
            if self._take(kind, wire.DUMP, selector, answer):
                break
        return answer

    def commit(self, changes: Sequence[Change]) -> Verdict:
        """Make changes in one transaction, all or nothing.

        The number is told where the first change asks for an echo. Raises FirewallError where the
        kernel did not say what became of it.
        """
        first = self._numbers(len(changes) + 2)
        last = first + len(changes)
        parts = [wire.packed(_BEGIN, 0, first, family=0, resource=wire.SUBSYSTEM)]
        for sequence, change in enumerate(changes, first + 1):
            flags = change.flags | wire.ACK if sequence == last else change.flags
            parts.append(wire.packed(change.kind, flags, sequence, change.body))
        parts.append(wire.packed(_END, 0, last + 1, family=0, resource=wire.SUBSYSTEM))
        try:
            self._send(b"".join(parts))
            return self._verdict(first, last)
        except PermissionError as error:
            raise unprivileged() from error
        except OSError as error:
            raise FirewallError(f"the kernel takes no transaction: {error.strerror}") from error

    def close(self) -> None:
        self._socket.close()

    def _numbers(self, count: int) -> int:
        """Return the first of so many sequence numbers that no answer under way bears."""
        first = self._sequence + 1 if self._sequence < _LAST_SEQUENCE else 1
        self._sequence = first + count - 1
        return first

    def _send(self, data: bytes) -> None:
        if len(data) > self._room:  # a batch is one datagram, however long
            self._socket.setsockopt(socket.SOL_SOCKET, _SO_SNDBUFFORCE, len(data))
            self._room = _room(self._socket)
        self._socket.send(data)

    def _verdict(self, first: int, last: int) -> Verdict:
        """Read what the kernel answered while it was told: all of it where it refused."""
        refusal, generation = "", None
        for data in self._answers():
            for message in wire.messages(data):
                if not first <= message.sequence <= last:  # of a request that was given up
                    continue
                if message.kind == wire.NEWGEN:
                    generation = wire.generation(data[message.start + wire.PAYLOAD : message.end])
                elif message.kind == wire.ERROR:
                    refusal = refusal or wire.refusal(data, message)
                    if message.sequence == last and not refusal:
                        return Verdict("", generation)
        if refusal:
            return Verdict(refusal)
        raise FirewallError("the kernel lost its answer to a transaction: it is tried again")

    def _answers(self) -> Iterator[bytes]:
        """Yield what waits in the socket; where its room ran out, what came last is lost."""
        while True:
            try:
                yield self._socket.recv(DATAGRAM, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise

    def _take(self, kind: int, flags: int, selector: bytes, answer: list[bytes]) -> bool:
        """Add what the kernel answers; say whether nothing changed while it did."""
        sequence = self._numbers(1)
        interrupted = 0
        try:
            self._socket.send(wire.packed(kind, flags, sequence, selector))
            while flags or not answer:
                data = self._socket.recv(DATAGRAM)
                for message in wire.messages(data):
                    if message.sequence != sequence:  # of a request that was given up
                        continue
                    interrupted |= message.flags & wire.INTERRUPTED
                    if message.kind in {wire.ERROR, wire.DONE}:
                        _check(wire.status(data, message))
                        return not interrupted
                    answer.append(data[message.start + wire.PAYLOAD : message.end])
        except OSError as error:
            raise FirewallError(
                f"the kernel does not tell its ruleset: {error.strerror}"
            ) from error
        return True


def opened(groups: int) -> socket.socket:
    """Return a socket to netfilter that hears of some groups; raises FirewallError."""
    kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC
    try:
        made = socket.socket(socket.AF_NETLINK, kind, _NETLINK_NETFILTER)
    except OSError as error:
        raise FirewallError(
            f"this kernel has no nf_tables: {error.strerror}", recoverable=False
        ) from error
    try:
        made.bind((0, groups))
    except OSError as error:
        made.close()
        raise unprivileged() from error  # whoever may not administer the network may not listen
    return made


def _room(asking: socket.socket) -> int:
    """Return how many bytes a datagram may have."""
    return asking.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) - 32


def _check(code: int) -> None:
    if code == errno.EPERM:
        raise unprivileged()
    if code not in {0, errno.ENOENT}:  # what is not there is an empty answer
        raise FirewallError(f"the kernel does not tell its ruleset: {os.strerror(code)}")
