# Commands by which a person decides: ban, unban, reload.
import click

from pyfilter.cli import shapes
from pyfilter.cli.context import Globals, pass_globals
from pyfilter.cli.output import emit, until
from pyfilter.cli.values import DURATION, subject
from pyfilter.control.answers import OutcomeRow, OutcomesAnswer, ReloadAnswer
from pyfilter.control.requests import BanSubjects, Reload, UnbanSubjects
from pyfilter.errors import RefusedError, SettingsError

_PATIENCE = 120.0  # seconds; a reload compiles every rule anew, an unban may lift many


@click.command("ban")
@click.argument("addresses", metavar="ADDRESS...", nargs=-1, required=True)
@click.option("--for", "seconds", type=DURATION, help="How long: 10m, 1d 12h, -1 for ever.")
@click.option("--reason", default="", help="What to remember it by.")
@click.option("--force", is_flag=True, help="Ban what is protected by a softer reason, too.")
@pass_globals
def ban_command(
    options: Globals, addresses: tuple[str, ...], seconds: float | None, reason: str, force: bool
) -> None:
    """Ban addresses or networks by hand."""
    subjects: list[str] = [subject(text) for text in addresses]
    request = BanSubjects(subjects, seconds, reason, force)
    with options.client(_PATIENCE) as client:
        rows = client.ask(request, OutcomesAnswer).outcomes

    def human() -> None:
        for row in rows:
            if row.done:
                note = f" ({row.message})" if row.message else ""
                click.echo(f"banned {row.subject} {until(row.until)}{note}")

    emit(options, [shapes.outcome(row) for row in rows], human)
    refuse(rows)


@click.command("unban")
@click.argument("addresses", metavar="ADDRESS...", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Lift every ban in force.")
@click.option("--grace", type=DURATION, help="Do not ban them again for so long: 1h.")
@click.option("--local/--fleet", "local", default=False, help="Here only, or on every server.")
@pass_globals
def unban_command(
    options: Globals, addresses: tuple[str, ...], everything: bool, grace: float | None, local: bool
) -> None:
    """Lift the bans of addresses and networks, and of all that lies in them."""
    if everything == bool(addresses):
        raise click.UsageError("name addresses, or --all")
    subjects: list[str] = [subject(text) for text in addresses]
    with options.client(_PATIENCE) as client:
        request = UnbanSubjects(subjects, everything, grace or 0.0, local)
        rows = client.ask(request, OutcomesAnswer).outcomes
    emit(options, [shapes.outcome(row) for row in rows], lambda: _show_lifted(rows))
    refuse(rows)


def _show_lifted(rows: list[OutcomeRow]) -> None:
    covered: dict[str, None] = {}
    for row in rows:
        if row.done:
            click.echo(f"lifted {row.subject}")
            covered |= dict.fromkeys(row.covered_by)
    for ban in covered:
        click.echo(f"still covered by the ban of {ban}: `pyfilter unban {ban}` lifts that")
    if not rows:
        click.echo("no bans in force")


def refuse(rows: list[OutcomeRow]) -> None:
    """Raise what was not done as one line."""
    reasons = []
    for row in rows:
        if not row.done:
            wider = " and ".join(row.covered_by)
            hint = f", but {wider} is: `pyfilter unban {wider}` lifts that" if wider else ""
            reasons.append(f"{row.subject}: {row.message}{hint}")
    if reasons:
        raise RefusedError("; ".join(reasons))


@click.command("reload")
@pass_globals
def reload_command(options: Globals) -> None:
    """Let the daemon take its configuration anew, all of it or nothing."""
    try:
        with options.client(_PATIENCE) as client:
            warnings = client.ask(Reload(), ReloadAnswer).warnings
    except SettingsError as error:
        raise SettingsError(f"{error} (the old configuration stays in force)") from None

    def human() -> None:
        for warning in warnings:
            click.echo(f"warning: {warning}")
        click.echo("reloaded")

    emit(options, {"reloaded": True, "warnings": warnings}, human)
