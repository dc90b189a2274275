# How requests and answers travel: one JSON object a line, over a Unix stream socket.
import msgspec

from pyfilter.control.answers import Answer, Refusal
from pyfilter.control.requests import Request
from pyfilter.errors import (
    AddressError,
    FirewallError,
    LedgerError,
    NotRunningError,
    PrivilegeError,
    PyfilterError,
    RefusedError,
    RuleError,
    SettingsError,
)

LONGEST_REQUEST = 256 * 1024  # bytes; about 5,000 addresses in one ban
LONGEST_ANSWER = 64 * 1024 * 1024  # bytes; a million outcomes of `unban --all`

requests = msgspec.json.Decoder(Request)
answers = msgspec.json.Decoder(Answer)
_encoder = msgspec.json.Encoder()
_KINDS: tuple[type[PyfilterError], ...] = (
    AddressError,
    RuleError,
    SettingsError,
    LedgerError,
    FirewallError,
    RefusedError,
    NotRunningError,
    PrivilegeError,
    PyfilterError,
)


def packed(message: Request | Answer) -> bytes:
    """Return a message as one line."""
    return _encoder.encode(message) + b"\n"


def refusal(error: PyfilterError) -> Refusal:
    """Return an error as it is sent."""
    kind = next(kind for kind in _KINDS if isinstance(error, kind))
    return Refusal(kind.__name__, str(error))


def raised(answer: Refusal) -> PyfilterError:
    """Return the error that a refusal stands for."""
    for kind in _KINDS:
        if kind.__name__ == answer.kind:
            return kind(answer.message)
    return PyfilterError(answer.message)
