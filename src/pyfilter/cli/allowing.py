# The allowlist at run time: allow add, allow list, allow remove.
import click

from pyfilter.cli import shapes
from pyfilter.cli.context import Globals, pass_globals
from pyfilter.cli.deciding import refuse
from pyfilter.cli.output import emit, moment, table, until
from pyfilter.cli.values import DURATION
from pyfilter.control.answers import AllowedAnswer, AllowedRow, OutcomesAnswer
from pyfilter.control.requests import AllowAdd, AllowList, AllowRemove
from pyfilter.durations import FOREVER


@click.group("allow")
def allow_command() -> None:
    """Addresses, networks and host names that are never banned."""


@allow_command.command("add")
@click.argument("entry", metavar="ADDRESS|NET|NAME")
@click.option("--for", "seconds", type=DURATION, default=FOREVER, help="How long: 7d.")
@click.option("--note", default="", help="What it is for.")
@click.option("--fleet", is_flag=True, help="On every server of the fleet.")
@pass_globals
def add(options: Globals, entry: str, seconds: float, note: str, fleet: bool) -> None:
    """Never ban an entry; a ban of it is lifted."""
    with options.client() as client:
        rows = client.ask(AllowAdd(entry, seconds, note, fleet), OutcomesAnswer).outcomes

    def human() -> None:
        click.echo(f"allowed {rows[0].subject} {until(rows[0].until)}")
        for row in rows[1:]:
            click.echo(f"lifted the ban of {row.subject}")

    emit(options, [shapes.outcome(row) for row in rows], human)


@allow_command.command("remove")
@click.argument("entry", metavar="ADDRESS|NET|NAME")
@click.option("--fleet", is_flag=True, help="On every server of the fleet.")
@pass_globals
def remove(options: Globals, entry: str, fleet: bool) -> None:
    """Take an entry off the allowlist."""
    with options.client() as client:
        rows = client.ask(AllowRemove(entry, fleet), OutcomesAnswer).outcomes
    refuse(rows)
    emit(options, [shapes.outcome(row) for row in rows], lambda: click.echo(f"removed {entry}"))


@allow_command.command("list")
@pass_globals
def entries(options: Globals) -> None:
    """Show the allowlist: what the configuration says and what was added."""
    with options.client() as client:
        rows = client.ask(AllowList(), AllowedAnswer).entries
    emit(options, [shapes.allowed(row) for row in rows], lambda: _show(rows))


def _show(rows: list[AllowedRow]) -> None:
    if not rows:
        click.echo("nothing is allowed but what PyFilter protects by itself")
        return
    table(
        ("entry", "until", "by", "note"),
        [
            (
                row.entry,
                moment(row.until, "for ever"),
                "configuration" if row.configured else row.by,
                row.note,
            )
            for row in rows
        ],
    )
