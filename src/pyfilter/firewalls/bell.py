# The bell: a socket that every transaction of others on nf_tables writes to.
import ctypes
import errno
import socket
import struct
from collections.abc import Container, Iterable
from contextlib import suppress

from pyfilter.errors import FirewallError
from pyfilter.firewalls.netlink import DATAGRAM, opened
from pyfilter.firewalls.wire import HEADER, PAYLOAD, messages

_NFNLGRP_NFTABLES = 7
_NOTICE = struct.Struct(">BBH")  # family, version, lower half of the generation
_BUFFER = 1 << 18
# include/uapi/linux/filter.h; a notice's header bears the port of the socket that brought it about
_SO_ATTACH_FILTER = 26
_STEP = struct.Struct("=HBBI")
_LOAD, _IF_EQUAL, _RETURN = 0x20, 0x15, 0x06
_PORT_AT = 12
_WHOLE = 0xFFFFFFFF


class Bell:
    """A socket that every change of the ruleset writes to, but for those that one port makes."""

    def __init__(self, ours: int) -> None:
        self._socket = opened(1 << (_NFNLGRP_NFTABLES - 1))
        self._socket.setblocking(False)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        with suppress(OSError):  # then our own doings wake us too, for nothing
            _pass_over(self._socket, ours)

    def fileno(self) -> int:
        return self._socket.fileno()

    def drain(self) -> list[bytes] | None:
        """Empty the socket; None where the kernel had to drop some of what was in it."""
        notices: list[bytes] = []
        lost = False
        while True:
            try:
                notices.append(self._socket.recv(DATAGRAM))
            except BlockingIOError:
                return None if lost else notices
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise FirewallError(f"the bell is broken: {error.strerror}") from error
                lost = True

    def close(self) -> None:
        self._socket.close()


def _pass_over(listening: socket.socket, port: int) -> None:
    """Let the kernel keep back what a port brought about: nobody is woken by his own doings."""
    seen = int.from_bytes(struct.pack("=I", port), "big")  # the filter loads in network order
    steps = (
        _STEP.pack(_LOAD, 0, 0, _PORT_AT),
        _STEP.pack(_IF_EQUAL, 0, 1, seen),
        _STEP.pack(_RETURN, 0, 0, 0),
        _STEP.pack(_RETURN, 0, 0, _WHOLE),
    )
    code = ctypes.create_string_buffer(b"".join(steps))
    program = struct.pack("@HP", len(steps), ctypes.addressof(code))
    listening.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)


def generations(notices: Iterable[bytes], mark: bytes, families: Container[int]) -> set[int]:
    """Return the transactions, by the lower half of their generation, that concern a table."""
    found = set()
    for data in notices:
        for message in messages(data):
            family, _, generation = _NOTICE.unpack_from(data, message.start + HEADER.size)
            if family in families and data.startswith(mark, message.start + PAYLOAD):
                found.add(generation)
    return found
