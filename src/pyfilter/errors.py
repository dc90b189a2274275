# The one flat family of errors; caught in the matcher, the enforcer, the daemon and the CLI only.


class PyfilterError(Exception):
    """Something the user or the operator of a part is told in one clear line."""


class AddressError(PyfilterError):
    """The text is no IP address or network."""


class SettingsError(PyfilterError):
    """The configuration is wrong; the text names file, key, reason and the nearest name."""


class RuleError(PyfilterError):
    """A rule is refused; the text names the rule, the pattern and the reason."""


class SourceError(PyfilterError):
    """A source cannot be read; the text is what its state shows."""


class LedgerError(PyfilterError):
    """The ledger could not remember or recall; protection goes on without it."""


class FirewallError(PyfilterError):
    """The kernel refused a batch; `recoverable` says whether trying again can help."""

    def __init__(self, message: str, *, recoverable: bool = True, privilege: bool = False) -> None:
        super().__init__(message)
        self.recoverable = recoverable
        self.privilege = privilege  # more of it would help (exit code 4)


class FleetError(PyfilterError):
    """Redis or a peer failed; local protection goes on."""


class RefusedError(PyfilterError):
    """The operator asked for what must not be done (exit code 1)."""


class NotRunningError(PyfilterError):
    """No daemon answers on the control socket (exit code 3)."""


class PrivilegeError(PyfilterError):
    """The caller may not do this (exit code 4)."""
