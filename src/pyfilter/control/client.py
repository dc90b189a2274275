# The sync client of the control socket: CLI, dashboard and metrics speak through it.
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import msgspec

from pyfilter.control.answers import Answer, Happening, Refusal, Welcome
from pyfilter.control.protocol import LONGEST_ANSWER, answers, packed, raised
from pyfilter.control.requests import Follow, Hello, Request, Role
from pyfilter.errors import NotRunningError, PrivilegeError, PyfilterError

A = TypeVar("A")


class Client:
    """One connection to the daemon; use it as a context."""

    def __init__(self, path: Path | str, *, timeout: float = 30.0, role: Role = "admin") -> None:
        """Connect; raises NotRunningError and PrivilegeError. `timeout` is in seconds."""
        self._socket = _connected(Path(path), timeout)
        self._buffer = b""
        try:
            self.welcome = self.ask(Hello(role=role), Welcome)
        except BaseException:
            self.close()
            raise

    def ask(self, request: Request, kind: type[A]) -> A:
        """Send a request and return its answer; a refusal is raised as its error."""
        self._send(request)
        answer = self._answer()
        if not isinstance(answer, kind):
            raise PyfilterError("the daemon gave another answer than asked for: restart it")
        return answer

    def follow(self, request: Follow) -> Iterator[Happening]:
        """Yield what happens until the daemon goes away."""
        self._send(request)
        self._socket.settimeout(None)
        while True:
            try:
                answer = self._answer()
            except NotRunningError:
                return
            if isinstance(answer, Happening):
                yield answer

    def close(self) -> None:
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _send(self, request: Request) -> None:
        try:
            self._socket.sendall(packed(request))
        except TimeoutError:
            raise _silent() from None
        except OSError:
            return  # the daemon has hung up; what it said before can still be read

    def _answer(self) -> Answer:
        line = self._line()
        try:
            answer: Answer = answers.decode(line)
        except msgspec.DecodeError as error:
            raise PyfilterError(
                f"the daemon speaks another version ({error}): restart it"
            ) from None
        if isinstance(answer, Refusal):
            raise raised(answer)
        return answer

    def _line(self) -> bytes:
        parts = [self._buffer]
        size = len(self._buffer)
        while b"\n" not in parts[-1]:
            try:
                part = self._socket.recv(1 << 16)
            except TimeoutError:
                raise _silent() from None
            except ConnectionError:
                part = b""
            if not part:
                raise NotRunningError("the daemon hung up: see its log, or `pyfilter status`")
            size += len(part)
            if size > LONGEST_ANSWER:
                raise PyfilterError("the daemon's answer is too long: ask for a smaller page")
            parts.append(part)
        line, _, self._buffer = b"".join(parts).partition(b"\n")
        return line


def _silent() -> NotRunningError:
    return NotRunningError("the daemon does not answer: see its log, or restart it")


def _connected(path: Path, timeout: float) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(timeout)
    try:
        _knock(connection, path, time.monotonic() + timeout)
    except PermissionError:
        connection.close()
        raise PrivilegeError(f"no access to {path}: try again with sudo") from None
    except TimeoutError:
        connection.close()
        raise _silent() from None
    except OSError as error:
        connection.close()
        raise NotRunningError(
            f"PyFilter is not running ({path}: {error.strerror or error}): "
            "start it with `sudo systemctl start PyFilter` or `sudo pyfilter run`"
        ) from None
    return connection


def _knock(connection: socket.socket, path: Path, deadline: float) -> None:
    """Connect; a full queue of callers answers EAGAIN at once, unix(7), so ask again."""
    while True:
        try:
            return connection.connect(str(path))
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise TimeoutError from None
            time.sleep(0.01)
