# cli: the command `pyfilter`; one file per group of commands, loaded when it is asked for.
import sys
from collections.abc import Sequence
from importlib import import_module
from io import TextIOWrapper

import click

from pyfilter import __version__
from pyfilter.cli.context import add_globals
from pyfilter.cli.failures import exit_code_of

# Where a command lives: NAME is the attribute `NAME_command` of its module.
_WHERE = {
    "run": "running",
    "check": "running",
    "status": "looking",
    "bans": "looking",
    "why": "looking",
    "ban": "deciding",
    "unban": "deciding",
    "allow": "allowing",
    "reload": "deciding",
    "match": "matches",
    "explain": "explaining",
    "replay": "replaying",
    "rules": "rules",
    "geo": "geo",
    "import": "importing",
    "doctor": "doctor",
    "fleet": "fleet",
    "serve": "serving",
    "bouncers": "serving",
    "completion": "completion",
}


class _Commands(click.Group):
    """Loads commands late; click offers no other way than to be one of its groups."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(_WHERE)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in _WHERE:
            return None
        module = import_module(f"pyfilter.cli.{_WHERE[cmd_name]}")
        command: click.Command = getattr(module, f"{cmd_name}_command")
        add_globals(command)
        return command


@click.group(
    cls=_Commands,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, message="PyFilter %(version)s")
@click.pass_context
def commands(context: click.Context) -> None:
    """PyFilter keeps attackers out of this server.

    Start with `pyfilter status`; `pyfilter COMMAND --help` tells more of each command.
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


add_globals(commands, hidden=False)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command and exit by the table in failures.py."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # a terminal that knows only ASCII shows escapes
            stream.reconfigure(errors="backslashreplace")
    sys.exit(exit_code_of(lambda: commands.main(arguments, "pyfilter", standalone_mode=False)))
