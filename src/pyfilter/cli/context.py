# What every command knows: the global options, the configuration, the daemon's socket.
import json
import os
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

import click
from msgspec import Struct

from pyfilter.errors import SettingsError

if TYPE_CHECKING:
    from pyfilter.control.client import Client
    from pyfilter.settings.tree import Settings

P = ParamSpec("P")
R = TypeVar("R")

SYSTEM_FILE = Path("/etc/pyfilter/pyfilter.toml")
SYSTEM_RUNTIME = Path("/run/pyfilter")
SOCKET = "control.sock"
OUTPUTS = ("human", "json", "jsonl")


class Globals(Struct):
    """The global options; they may stand before the command or behind it."""

    config: str | None = None
    socket: str | None = None
    output: str = "human"
    verbose: int = 0

    def settings(self) -> "Settings":
        """Return the configuration that the daemon would use; raises SettingsError."""
        from pyfilter import settings  # noqa: PLC0415 - most commands do without

        return settings.load(self.config)

    def client(self, timeout: float = 20.0) -> "Client":
        """Return a connection to the daemon; raises NotRunningError and PrivilegeError."""
        from pyfilter.control.client import Client  # noqa: PLC0415 - some commands need no daemon

        return Client(self.socket_path(), timeout=timeout)

    def socket_path(self) -> Path:
        """Return where the daemon listens, even when the configuration has an error elsewhere."""
        named = self.socket or os.environ.get("PYFILTER_SOCKET")
        if named:
            return Path(named)
        chosen = self.config or os.environ.get("PYFILTER_CONFIG")
        file = Path(chosen) if chosen else SYSTEM_FILE if SYSTEM_FILE.exists() else None
        return Path((file and _runtime_dir(file)) or _usual_runtime_dir()) / SOCKET


def _runtime_dir(file: Path) -> str | None:
    """Return what a configuration says of the runtime folder, and no more."""
    if not file.is_file():
        raise SettingsError(f"{file}: there is no such configuration file")
    found: str | None = None
    for part in (file, *sorted((file.parent / "pyfilter.d").glob("*.toml"))):
        try:
            text = part.read_text("utf-8-sig")
            table = json.loads(text) if text.lstrip().startswith("{") else tomllib.loads(text)
        except (OSError, ValueError):
            continue  # the daemon may run with what stood there before
        value = table.get("runtime_dir")
        found = value if isinstance(value, str) else found
    return found


def _usual_runtime_dir() -> str:
    if os.geteuid() == 0 or SYSTEM_RUNTIME.exists():
        return str(SYSTEM_RUNTIME)
    from pyfilter.settings.surroundings import present  # noqa: PLC0415 - for users without root

    return present().runtime


def pass_globals(command: Callable[Concatenate[Globals, P], R]) -> Callable[P, R]:
    """Give a command the global options as its first argument."""
    return click.make_pass_decorator(Globals, ensure=True)(command)


def add_globals(command: click.Command, *, hidden: bool = True) -> None:
    """Let a command and all below it take the global options too."""
    taken = {name for parameter in command.params for name in parameter.opts}
    for option in _options(hidden=hidden):
        if not taken.intersection(option.opts):
            command.params.append(option)
    if isinstance(command, click.Group) and hidden:
        for below in command.commands.values():
            add_globals(below)


def _options(*, hidden: bool) -> list[click.Option]:
    def option(*names: str, **more: Any) -> click.Option:
        return click.Option(names, callback=_keep, expose_value=False, hidden=hidden, **more)

    return [
        option(
            "-c",
            "--config",
            metavar="FILE",
            help="Configuration; default $PYFILTER_CONFIG, else /etc/pyfilter/pyfilter.toml.",
        ),
        option(
            "--socket",
            metavar="PATH",
            help="The daemon's socket; default $PYFILTER_SOCKET, else as configured.",
        ),
        option("-o", "--output", type=click.Choice(OUTPUTS), help="Form of the output."),
        option("-v", "--verbose", count=True, help="Say more."),
    ]


def _keep(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    chosen = context.ensure_object(Globals)
    if value and parameter.name:
        setattr(chosen, parameter.name, value)
