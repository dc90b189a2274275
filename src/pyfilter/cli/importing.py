# Taking over from others: `pyfilter import pyfilter PATH` and `pyfilter import fail2ban DIR`.
import time
from pathlib import Path

import click

from pyfilter.cli.context import Globals, pass_globals
from pyfilter.cli.fail2ban.command import fail2ban_command
from pyfilter.cli.failures import complain
from pyfilter.cli.handing import hand_over
from pyfilter.cli.original import Taken, from_redis, from_sqlite, is_base
from pyfilter.cli.output import emit
from pyfilter.errors import RefusedError

_REDIS = ("redis://", "rediss://", "unix://")


@click.group("import")
def import_command() -> None:
    """Take over configuration and bans from another program."""


import_command.add_command(fail2ban_command)


@import_command.command("pyfilter")
@click.argument("path")
@click.option("--to", metavar="FILE", help="Write the configuration there, not to the screen.")
@pass_globals
def pyfilter_command(options: Globals, path: str, to: str | None) -> None:
    """Take over from the original PyFilter.

    PATH is its SQLite base or a redis:// address, whose bans are taken over, or its config.json or
    folder, whose configuration is written as a pyfilter.toml.
    """
    if path.startswith(_REDIS):
        _take(options, from_redis(path, time.time()))
        return
    file = Path(path)
    if file.is_dir():
        file = file / "Config" / "config.json"
    if not file.is_file():
        raise RefusedError(f"{file}: there is no such file")
    if is_base(file):
        _take(options, from_sqlite(file, time.time()))
    else:
        _translate(options, file, to)


def _take(options: Globals, taken: Taken) -> None:
    refused = hand_over(options, taken.bans, time.time())
    notes = [*taken.notes, *refused]
    count = len(taken.bans) - len(refused)

    def human() -> None:
        click.echo(f"took over {count} bans")
        for note in notes:
            complain(note)

    emit(options, {"bans": count, "notes": notes}, human)


def _translate(options: Globals, file: Path, to: str | None) -> None:
    from pyfilter.settings import load  # noqa: PLC0415 - bans do without
    from pyfilter.settings.writing import to_toml  # noqa: PLC0415

    settings = load(file)
    text = f"# From {file}\n{to_toml(settings)}"
    if to:
        with Path(to).open("x", encoding="utf-8") as target:
            target.write(text)

    def human() -> None:
        click.echo(f"wrote {to}" if to else text, nl=bool(to))
        for note in settings.warnings:
            complain(note)

    emit(options, {"toml": text, "notes": list(settings.warnings)}, human)
