# How results look: tables and colours on a terminal, aligned text in a pipe, JSON for programs.
import sys
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import click
import msgspec

from pyfilter.cli.context import Globals
from pyfilter.durations import spoken

Row = Sequence[str]
_MOMENT = 1.0  # seconds that count as now
_THOUSAND = 1000
_LAST = 253_402_214_400.0  # 9999-12-31, the last day that can be written


def emit(options: Globals, document: Any, human: Callable[[], None]) -> None:
    """Write a result in the form that was asked for; a list is one object a line as jsonl."""
    if options.output == "json":
        click.echo(msgspec.json.format(msgspec.json.encode(document), indent=2))
    elif options.output == "jsonl":
        rows = document if isinstance(document, list) else [document]
        for row in rows:
            click.echo(msgspec.json.encode(row))
    else:
        human()


def table(headers: Row, rows: Iterable[Row], right: Iterable[str] = ()) -> None:
    """Write a table; the columns named in `right` are aligned to the right."""
    if sys.stdout.isatty():
        _rich(headers, rows, set(right))
    else:
        _plain(headers, list(rows), set(right))


def _plain(headers: Row, rows: list[Row], right: set[str]) -> None:
    widths = [max(map(len, column)) for column in zip(headers, *rows, strict=True)]
    for row in ([header.upper() for header in headers], *rows):
        cells = [
            cell.rjust(width) if header in right else cell.ljust(width)
            for cell, width, header in zip(row, widths, headers, strict=True)
        ]
        click.echo("  ".join(cells).rstrip())


def _rich(headers: Row, rows: Iterable[Row], right: set[str]) -> None:
    from rich import box  # noqa: PLC0415 - only on a terminal
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    drawn = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for header in headers:
        drawn.add_column(header, justify="right" if header in right else "left", overflow="fold")
    for row in rows:
        drawn.add_row(*(Text(cell, style=_STYLES.get(cell, "")) for cell in row))
    Console().print(drawn)


_STYLES = {
    "ok": "green",
    "waiting": "yellow",
    "denied": "bold red",
    "blind": "bold red",
    "degraded": "bold red",
}


def field(name: str, value: str, *, good: bool | None = None) -> None:
    """Write one named value; coloured by whether it is good."""
    colour = {True: "green", False: "red", None: None}[good]
    click.echo(f"{name:<10}{click.style(value, fg=colour) if colour else value}")


def rfc3339(at: float | None, precision: str = "seconds") -> str | None:
    """Return seconds since the epoch as local time with its offset."""
    if at is None:
        return None
    return datetime.fromtimestamp(min(at, _LAST), UTC).astimezone().isoformat(timespec=precision)


def moment(at: float | None, otherwise: str = "-") -> str:
    """Return local time as people read it."""
    if at is None:
        return otherwise
    return datetime.fromtimestamp(min(at, _LAST), UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def until(at: float | None) -> str:
    """Return the end of a ban in words."""
    return f"until {moment(at)}" if at is not None else "for ever"


def ago(at: float | None, now: float) -> str:
    if at is None:
        return "never"
    return "just now" if now - at < _MOMENT else f"{spoken(now - at)} ago"


def size(count: int) -> str:
    """Return bytes in the unit that people read."""
    amount = float(count)
    units = ["GB", "MB", "kB", "B"]
    while amount >= _THOUSAND and len(units) > 1:
        amount /= _THOUSAND
        units.pop()
    return f"{amount:.0f} {units[-1]}"
