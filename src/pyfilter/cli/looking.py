# Commands that look: status, bans, why.
from collections.abc import Iterator

import click
import msgspec

from pyfilter.cli import shapes
from pyfilter.cli.context import Globals, pass_globals
from pyfilter.cli.output import emit, moment, table
from pyfilter.cli.screens import show_status, show_why
from pyfilter.cli.values import rule_names, subject
from pyfilter.control.answers import BanRow, BansAnswer, StatusAnswer, WhyAnswer
from pyfilter.control.requests import AskStatus, AskWhy, ListBans

_PAGE = 2000  # rows asked for at a time
_PAST = 1000  # rows of history unless more are asked for


@click.command("status")
@click.argument("rule", default="", shell_complete=rule_names)
@pass_globals
def status_command(options: Globals, rule: str) -> None:
    """Show what runs: sources, rules, firewall, ledger, fleet."""
    with options.client() as client:
        answer = client.ask(AskStatus(rule), StatusAnswer)
    emit(options, shapes.status(answer), lambda: show_status(answer))


@click.command("bans")
@click.option("--history", is_flag=True, help="Past bans too, newest first.")
@click.option(
    "--rule", default="", metavar="RULE", shell_complete=rule_names, help="Only of one rule."
)
@click.option("--origin", default="", metavar="NAME", help="Only of one server, or operator.")
@click.option("--limit", type=click.IntRange(min=1), help="At most so many; history: 1000.")
@pass_globals
def bans_command(
    options: Globals, history: bool, rule: str, origin: str, limit: int | None
) -> None:
    """Show the bans in force, or past."""
    most = limit or (_PAST if history else None)
    shape = shapes.past_ban if history else shapes.ban
    rows = _pages(options, ListBans(history, rule, origin), most)
    if options.output == "jsonl":
        for row in rows:
            click.echo(msgspec.json.encode(shape(row)))
        return
    listed = list(rows)
    emit(options, [shape(row) for row in listed], lambda: _show_bans(listed, history=history))


def _pages(options: Globals, request: ListBans, most: int | None) -> Iterator[BanRow]:
    left = most
    with options.client() as client:
        while True:
            size = _PAGE if left is None else min(_PAGE, left)
            page = client.ask(msgspec.structs.replace(request, limit=size), BansAnswer)
            yield from page.bans
            left = None if left is None else left - len(page.bans)
            if not page.next or left == 0:
                return
            request = msgspec.structs.replace(request, cursor=page.next)


def _show_bans(rows: list[BanRow], *, history: bool) -> None:
    if not rows:
        click.echo("no bans so far" if history else "no bans in force")
        return
    headers = ["address", "rule", "country", "since", "until", "strike", "origin"]
    headers += ["ended"] if history else ["packets", "kernel"]
    table(headers, (_cells(row, history=history) for row in rows), right=("strike", "packets"))


def _cells(row: BanRow, *, history: bool) -> list[str]:
    cells = [
        row.subject,
        row.rule or "-",
        row.country or "-",
        moment(row.since),
        moment(row.until, "for ever"),
        str(row.strike),
        f"{row.origin} ({row.by})" if row.by else row.origin,
    ]
    if history:
        return [*cells, f"{moment(row.ended)} {row.cause}" if row.ended else ""]
    held = "yes" if row.in_kernel else "observed" if row.observe else "MISSING"
    return [*cells, f"{row.packets:,}", held]


@click.command("why")
@click.argument("address")
@pass_globals
def why_command(options: Globals, address: str) -> None:
    """Tell all that is known of an address: banned or not, why, the evidence."""
    request = AskWhy(subject(address))
    with options.client() as client:
        answer = client.ask(request, WhyAnswer)
    emit(options, shapes.why(answer), lambda: show_why(answer))
