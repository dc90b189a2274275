# Taking over from others: `pyfilter import pyfilter PATH`.
import time
from collections.abc import Sequence
from pathlib import Path

import click

from pyfilter.cli.context import Globals, pass_globals
from pyfilter.cli.failures import complain
from pyfilter.cli.original import Taken, from_redis, from_sqlite, is_base
from pyfilter.cli.output import emit
from pyfilter.errors import NotRunningError, RefusedError
from pyfilter.model import Ban

_REDIS = ("redis://", "rediss://", "unix://")
_PATIENCE = 120.0  # seconds; many bans may be taken over at once
_CHUNK = 1000
_FOREVER = -1.0


@click.group("import")
def import_command() -> None:
    """Take over configuration and bans from another program."""


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
    refused = _hand_over(options, taken.bans)
    notes = [*taken.notes, *refused]
    count = len(taken.bans) - len(refused)

    def human() -> None:
        click.echo(f"took over {count} bans")
        for note in notes:
            complain(note)

    emit(options, {"bans": count, "notes": notes}, human)


def _hand_over(options: Globals, bans: Sequence[Ban]) -> list[str]:
    """Give bans to the running daemon, else to the ledger; return what was refused, and why."""
    try:
        client = options.client(_PATIENCE)
    except NotRunningError:
        _record(options, bans)
        return []
    from pyfilter.control.answers import OutcomesAnswer  # noqa: PLC0415 - only with a daemon
    from pyfilter.control.requests import BanSubjects  # noqa: PLC0415

    refused = []
    with client:
        for start in range(0, len(bans), _CHUNK):
            subjects: list[str] = [ban.subject for ban in bans[start : start + _CHUNK]]
            request = BanSubjects(subjects, _FOREVER, "taken over from the original PyFilter")
            rows = client.ask(request, OutcomesAnswer).outcomes
            refused += [f"{row.subject}: {row.message}" for row in rows if not row.done]
    return refused


def _record(options: Globals, bans: Sequence[Ban]) -> None:
    """Write bans into the ledger; the daemon checks and takes them up when it starts."""
    from pyfilter.ledger import Sqlite  # noqa: PLC0415 - only without a daemon

    settings = options.settings()
    place = Path(settings.ledger or f"{settings.state_dir}/pyfilter.db")
    place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    ledger = Sqlite(str(place)).open()
    try:
        for start in range(0, len(bans), _CHUNK):
            ledger.record(bans[start : start + _CHUNK])
    finally:
        ledger.close()


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
