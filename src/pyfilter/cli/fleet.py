# Commands for a fleet: its key.
import secrets

import click

from pyfilter.cli.context import Globals, pass_globals
from pyfilter.cli.output import emit

_BYTES = 32  # of a key; RFC 2104 wants no less for SHA-256


@click.group("fleet")
def fleet_command() -> None:
    """Share bans with other servers."""


@fleet_command.command("key")
@pass_globals
def key(options: Globals) -> None:
    """Print a new key, to be put into the key_file of every server."""
    made = secrets.token_hex(_BYTES)
    emit(options, {"key": made}, lambda: click.echo(made))
