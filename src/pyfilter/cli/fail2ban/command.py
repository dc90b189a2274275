# `pyfilter import fail2ban DIR`: the configuration as a pyfilter.toml, the bans in force, and a line
# for each jail and filter that says what became of it.
import time
from pathlib import Path
from typing import Any

import click
import msgspec
from msgspec import Struct

from pyfilter.cli.context import Globals, pass_globals
from pyfilter.cli.fail2ban.taking import Row, Taking, take
from pyfilter.cli.fail2ban.trying import Tried, tried
from pyfilter.cli.fail2ban.writing import text
from pyfilter.cli.failures import complain
from pyfilter.cli.handing import hand_over
from pyfilter.cli.output import emit
from pyfilter.errors import RefusedError


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

    DIR is its folder, usually /etc/fail2ban, whose configuration is shown or written; or its SQLite
    base, whose bans in force are taken over. Nothing there is changed. What could not be taken over
    is listed with the reason; the exit code is 0 all the same.
    """
    if Path(folder).is_file():
        _only_bans(options, Path(folder))
        return
    taking = take(Path(folder))
    document = f"# From {folder}\n{text(taking.sections)}"
    checks = [one for rule, logs in taking.own for one in tried(rule, logs, time.time())]
    _proved(document, write or folder)
    if write:
        _write(Path(write), document, force)
    handed = _from_base(options, _base(Path(folder), base), wanted=bans or bool(base))

    def human() -> None:
        click.echo(f"wrote {write}" if write else document.rstrip("\n"))
        _report(taking, checks, handed)

    emit(options, _document(document, taking, checks, handed), human)


class _Handed(Struct, frozen=True):
    """What became of the bans in a base; no count where they were not asked for."""

    count: int | None
    notes: tuple[str, ...] = ()


def _proved(document: str, path: str) -> None:
    """Read what was written as the daemon will. Raises SettingsError."""
    from pyfilter.settings import toml  # noqa: PLC0415 - needed here alone
    from pyfilter.settings.documents import Document  # noqa: PLC0415
    from pyfilter.settings.library import shipped  # noqa: PLC0415
    from pyfilter.settings.surroundings import present  # noqa: PLC0415

    toml.read([Document(path, document)], present(), shipped())


def _write(path: Path, document: str, force: bool) -> None:
    try:
        with path.open("w" if force else "x", encoding="utf-8", errors="surrogateescape") as file:
            file.write(document)
    except FileExistsError:
        raise RefusedError(f"{path}: there is one already; say --force to replace it") from None
    except OSError as error:
        raise RefusedError(f"{path}: cannot be written: {error.strerror}") from None


def _base(folder: Path, named: str | None) -> Path | None:
    from pyfilter.cli.fail2ban.bans import place  # noqa: PLC0415 - not every run reads bans

    return Path(named) if named else place(folder)


def _from_base(options: Globals, path: Path | None, *, wanted: bool) -> _Handed:
    from pyfilter.cli.fail2ban.bans import live  # noqa: PLC0415 - not every run reads bans

    there = path is not None and path.is_file()
    if not wanted:
        hint = f"{path}: say --bans to take over the bans in force, too"
        return _Handed(None, (hint,) if there else ())
    if path is None:
        raise RefusedError("fail2ban keeps no base (dbfile = None); name one with --base")
    if not there:
        raise RefusedError(f"{path}: there is no such base; name it with --base")
    now = time.time()
    taken = live(path, now)
    refused = hand_over(options, taken.bans, now)
    return _Handed(len(taken.bans) - len(refused), (*taken.notes, *refused))


def _only_bans(options: Globals, path: Path) -> None:
    handed = _from_base(options, path, wanted=True)

    def human() -> None:
        click.echo(f"took over {handed.count} bans")
        for note in handed.notes:
            complain(note)

    emit(options, {"bans": handed.count, "notes": list(handed.notes)}, human)


def _report(taking: Taking, checks: list[Tried], handed: _Handed) -> None:
    """Say on stderr what became of each part, so that stdout stays a configuration."""
    for row in taking.rows:
        complain(_said(row))
        for note in row.notes:
            complain(f"{row.kind} {row.name}: {note}")
    for check in checks:
        found = check.error or f"{check.matched:,} of {check.lines:,} lines matched"
        complain(f"check {check.rule} on {check.log}: {found}")
    complain(summary(taking.rows))
    if handed.count is not None:
        complain(f"took over {handed.count} bans")
    for note in handed.notes:
        complain(note)


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
    document: str, taking: Taking, checks: list[Tried], handed: _Handed
) -> dict[str, Any]:
    rows: list[dict[str, Any]] = msgspec.to_builtins(taking.rows)
    return {
        "toml": document,
        "jails": [row for row in rows if row["kind"] != "filter"],
        "filters": [row for row in rows if row["kind"] == "filter"],
        "checks": msgspec.to_builtins(checks),
        "bans": handed.count,
        "notes": list(handed.notes),
    }
