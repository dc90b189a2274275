# Commands for bouncers: serve the HTTP API, keep their keys.
from datetime import UTC, datetime
from pathlib import Path

import click

from pyfilter.cli.context import Globals, pass_globals
from pyfilter.cli.output import emit, table
from pyfilter.errors import RefusedError
from pyfilter.web.keys import Keys

KEYS = "bouncers.json"


def _keys(options: Globals) -> Keys:
    return Keys(Path(options.settings().state_dir) / KEYS)


@click.command("serve")
@click.option("--listen", default="127.0.0.1:8080", show_default=True, metavar="HOST:PORT")
@pass_globals
def serve_command(options: Globals, listen: str) -> None:
    """Serve the bans to bouncers over HTTP, as CrowdSec's local API does."""
    from pyfilter.control.client import Client  # noqa: PLC0415 - a process of its own
    from pyfilter.web.mirror import Mirror  # noqa: PLC0415
    from pyfilter.web.server import Service  # noqa: PLC0415

    host, _, port = listen.rpartition(":")
    if not host or not port.isdigit():
        raise click.UsageError(f"--listen {listen!r} is not HOST:PORT")
    path = options.socket_path()
    mirror = Mirror(lambda: Client(path, role="viewer"))
    try:
        service = Service((host.strip("[]"), int(port)), mirror, _keys(options))
    except OSError as error:
        raise RefusedError(f"cannot listen on {listen}: {error.strerror}") from None
    mirror.start()
    click.echo(f"Serving bouncers on http://{listen}/", err=True)
    try:
        service.serve_forever()
    except KeyboardInterrupt:
        service.server_close()


@click.group("bouncers")
def bouncers_command() -> None:
    """Manage the bouncers that may read our bans."""


@bouncers_command.command("add")
@click.argument("name")
@pass_globals
def add(options: Globals, name: str) -> None:
    """Make a key for a bouncer; it is shown this once."""
    key = _keys(options).add(name)
    emit(options, {"name": name, "key": key}, lambda: click.echo(key))


@bouncers_command.command("list")
@pass_globals
def list_(options: Globals) -> None:
    """Show the bouncers."""
    found = [
        {"name": b.name, "added": datetime.fromtimestamp(b.added, UTC).isoformat("T", "seconds")}
        for b in _keys(options).bouncers()
    ]
    emit(
        options,
        found,
        lambda: table(("name", "added"), [(b["name"], b["added"]) for b in found]),
    )


@bouncers_command.command("delete")
@click.argument("name")
@pass_globals
def delete(options: Globals, name: str) -> None:
    """Take a bouncer's key away."""
    _keys(options).delete(name)
    emit(options, {"name": name, "deleted": True}, lambda: click.echo(f"deleted {name}"))
