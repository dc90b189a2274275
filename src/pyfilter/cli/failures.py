# From what went wrong to an exit code and the one line that says what to do.
import os
import sys
from collections.abc import Callable

import click

from pyfilter.errors import (
    AddressError,
    FirewallError,
    FleetError,
    NotRunningError,
    PrivilegeError,
    PyfilterError,
    RefusedError,
    RuleError,
    SettingsError,
)
from pyfilter.visible import visible

DONE, REFUSED, USAGE, NOT_RUNNING, NO_PRIVILEGE = 0, 1, 2, 3, 4
_INTERRUPTED = 130  # as shells report SIGINT
_LONGEST = 2000  # characters

_CODES: tuple[tuple[type[PyfilterError], int], ...] = (
    (RefusedError, REFUSED),
    (SettingsError, USAGE),
    (FleetError, USAGE),
    (RuleError, USAGE),
    (AddressError, USAGE),
    (NotRunningError, NOT_RUNNING),
    (PrivilegeError, NO_PRIVILEGE),
    (PyfilterError, REFUSED),
)


def exit_code_of(command: Callable[[], object]) -> int:
    """Run a command; return the exit code, with one line on stderr when it failed."""
    try:
        result = command()
        sys.stdout.flush()
    except PyfilterError as error:
        complain(str(error))
        return _code(error)
    except click.ClickException as error:
        complain(_usage(error))
        return USAGE
    except (click.Abort, KeyboardInterrupt):
        return _INTERRUPTED
    except OSError as error:
        return _refused_by_system(error)
    return result if isinstance(result, int) else DONE


def _refused_by_system(error: OSError) -> int:
    if isinstance(error, BrokenPipeError):  # who read us has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    hint = ": try again with sudo" if isinstance(error, PermissionError) else ""
    complain(f"{error.filename or 'output'}: {error.strerror or error}{hint}")
    return NO_PRIVILEGE if hint else REFUSED


def _code(error: PyfilterError) -> int:
    if isinstance(error, FirewallError) and error.privilege:
        return NO_PRIVILEGE
    return next(code for kind, code in _CODES if isinstance(error, kind))


def complain(message: str) -> None:
    """Write one line to stderr."""
    line = " ".join(message.splitlines()).strip()
    click.echo(f"pyfilter: {visible(line, _LONGEST)}", err=True)


def _usage(error: click.ClickException) -> str:
    context = getattr(error, "ctx", None)
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        group = error.ctx.command
        names = group.list_commands(error.ctx) if isinstance(group, click.Group) else []
        message = f"{error.ctx.command_path} needs one of: {', '.join(names)}"
    else:
        message = error.format_message()
    path = context.command_path if context else "pyfilter"
    return f"{message} (see `{path} --help`)"
