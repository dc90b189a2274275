# `pyfilter doctor`: looks at this machine and says what is wrong and how to mend it.
import click
import msgspec

from pyfilter.cli.checkup import Finding, clock, distinct, firewall, logs, running, sshd
from pyfilter.cli.context import Globals, pass_globals
from pyfilter.cli.output import emit
from pyfilter.errors import RefusedError
from pyfilter.visible import visible

_MARKS = {"good": ("ok", "green"), "note": ("note", "yellow"), "bad": ("BAD", "red")}


@click.command("doctor")
@pass_globals
def doctor_command(options: Globals) -> None:
    """Look at this machine: what is wrong, and how to mend it."""
    found = options.settings()
    findings = distinct(
        [*running(options.client), *firewall(found), *logs(found), *sshd(found), *clock(found)]
    )
    emit(options, [msgspec.to_builtins(one) for one in findings], lambda: _show(findings))
    bad = sum(one.level == "bad" for one in findings)
    if bad:
        raise RefusedError(f"{bad} of {len(findings)} things are wrong: see above")


def _show(findings: list[Finding]) -> None:
    for one in findings:
        word, colour = _MARKS[one.level]
        mark = click.style(f"{word:>4}", fg=colour, bold=one.level == "bad")
        mend = f" - {visible(one.mend)}" if one.mend else ""
        click.echo(f"{mark}  {visible(one.of)}: {visible(one.text)}{mend}")
