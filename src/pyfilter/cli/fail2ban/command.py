# `pyfilter import fail2ban DIR`: the configuration as a pyfilter.toml, the bans in force, and a line
# for each jail and filter that says what became of it.
import time
from pathlib import Path
from typing import Any

import click
import msgspec

from pyfilter.cli.context import Globals, pass_globals
from pyfilter.cli.fail2ban.taking import Row, Taking, take
from pyfilter.cli.fail2ban.trying import Tried, tried
from pyfilter.cli.fail2ban.writing import text
from pyfilter.cli.failures import complain
from pyfilter.cli.handing import hand_over
from pyfilter.cli.original import Taken
from pyfilter.cli.output import emit
from pyfilter.errors import RefusedError

_NONE = Taken(())


@click.command("fail2ban")
@click.argument("folder", metavar="DIR", default="/etc/fail2ban")
@click.option("--write", metavar="FILE", help="Write the configuration there, not to the screen.")
@click.option("--force", is_flag=True, help="Write even where a file is there already.")
@click.option("--bans", is_flag=True, help="Take over the bans in force, too.")
@click.option("--base", metavar="FILE", help="fail2ban's SQLite base, if not where DIR says.")
@pass_globals
def fail2ban_command(
    options: Globals, *, folder: str, write: str | None, force: bool, bans: bool, base: str | None
) -> None:
    """Take over from fail2ban.

    DIR is its folder, usually /etc/fail2ban. Nothing there is changed. What could not be taken
    over is listed with the reason; the exit code is 0 all the same.
    """
    taking = take(Path(folder))
    document = f"# From {folder}\n{text(taking.sections)}"
    checks = [one for rule, logs in taking.own for one in tried(rule, logs, time.time())]
    if write:
        _write(Path(write), document, force)
    taken, refused = _bans(options, Path(folder), base) if bans or base else (_NONE, [])
    notes = [*taken.notes, *refused]

    def human() -> None:
        click.echo(f"wrote {write}" if write else document.rstrip("\n"))
        _report(taking, checks)
        if bans or base:
            complain(f"took over {len(taken.bans) - len(refused)} bans")
        for note in notes:
            complain(note)

    emit(options, _document(document, taking, checks, taken, notes), human)


def _write(path: Path, document: str, force: bool) -> None:
    try:
        with path.open("w" if force else "x", encoding="utf-8", errors="surrogateescape") as file:
            file.write(document)
    except FileExistsError:
        raise RefusedError(f"{path}: there is one already; say --force to replace it") from None
    except OSError as error:
        raise RefusedError(f"{path}: cannot be written: {error.strerror}") from None


def _bans(options: Globals, folder: Path, base: str | None) -> tuple[Taken, list[str]]:
    from pyfilter.cli.fail2ban.bans import live, place  # noqa: PLC0415 - only when asked for

    path = Path(base) if base else place(folder)
    if path is None:
        raise RefusedError(f"{folder}: fail2ban keeps no base (dbfile = None)")
    if not path.is_file():
        raise RefusedError(f"{path}: there is no such base; name it with --base")
    now = time.time()
    taken = live(path, now)
    return taken, hand_over(options, taken.bans, now)


def _report(taking: Taking, checks: list[Tried]) -> None:
    """Say on stderr what became of each part, so that stdout stays a configuration."""
    for row in taking.rows:
        complain(_said(row))
        for note in row.notes:
            complain(f"    {note}")
    for check in checks:
        found = check.error or f"{check.matched:,} of {check.lines:,} lines matched"
        complain(f"check {check.rule} on {check.log}: {found}")
    complain(summary(taking.rows))


def _said(row: Row) -> str:
    word = {
        "replaced": f"replaced by our rule {row.rule}",
        "translated": f"translated{f' into rule {row.rule}' if row.rule else ''}",
        "in part": f"translated in part{f' into rule {row.rule}' if row.rule else ''}",
        "left out": f"NOT translated: {row.reason}",
        "included": f"part of other filters: {row.reason}",
    }[row.fate]
    return f"{row.kind} {row.name}: {word}"


def summary(rows: tuple[Row, ...]) -> str:
    """Return in one line how much was taken over."""
    said = []
    for kind in ("jail", "filter"):
        fates = [row.fate for row in rows if row.kind == kind and row.fate != "included"]
        full = sum(fate in ("replaced", "translated") for fate in fates)
        part = fates.count("in part")
        said.append(f"{full} of {len(fates)} {kind}s in full, {part} in part")
    return "; ".join(said)


def _document(
    document: str, taking: Taking, checks: list[Tried], taken: Taken, notes: list[str]
) -> dict[str, Any]:
    rows: list[dict[str, Any]] = msgspec.to_builtins(taking.rows)
    return {
        "toml": document,
        "jails": [row for row in rows if row["kind"] == "jail"],
        "filters": [row for row in rows if row["kind"] == "filter"],
        "checks": msgspec.to_builtins(checks),
        "bans": len(taken.bans),
        "notes": notes,
    }
