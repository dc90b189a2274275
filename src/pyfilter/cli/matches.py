# `pyfilter match`: which lines of a log a rule matches, and which of them would ban.
import sys
from collections.abc import Iterator
from typing import Any

import click
import msgspec

from pyfilter.cli.chosen import configured, rule_settings
from pyfilter.cli.context import Globals, pass_globals
from pyfilter.cli.explaining import worth
from pyfilter.cli.lines import lines, opened
from pyfilter.cli.output import moment, rfc3339
from pyfilter.cli.trial import Trial, Verdict
from pyfilter.cli.values import rule_names
from pyfilter.errors import RefusedError
from pyfilter.visible import visible


@click.command("match")
@click.option(
    "--rule",
    required=True,
    metavar="NAME",
    shell_complete=rule_names,
    help="A rule's name, or its .toml file.",
)
@click.option("--json", "as_json", is_flag=True, help="One object an input line, in order.")
@click.argument("file", metavar="FILE|-")
@pass_globals
def match_command(options: Globals, rule: str, as_json: bool, file: str) -> None:
    """Show which lines of a log a rule matches, through the daemon's own code."""
    trial = Trial(rule_settings(options, rule), configured(options).ignoreip)
    form = "jsonl" if as_json else options.output
    with opened(file) as stream:
        verdicts = enumerate(map(trial.judge, lines(stream)), 1)
        counted = Tally(rule)
        write = {"human": _human, "json": _document, "jsonl": _lines}[form]
        write(counted.watch(verdicts))
    if not counted.matched:
        raise RefusedError(
            f"no line of {counted.lines} matched rule {rule}: try `pyfilter explain`"
        )
    if form == "human":
        click.echo(counted.summary())


class Tally:
    """Counts verdicts on their way."""

    def __init__(self, rule: str) -> None:
        self.rule = rule
        self.lines = self.matched = self.bans = 0

    def watch(self, verdicts: Iterator[tuple[int, Verdict]]) -> Iterator[tuple[int, Verdict]]:
        for number, verdict in verdicts:
            self.lines = number
            self.matched += verdict.matched
            self.bans += verdict.ban is not None
            yield number, verdict

    def summary(self) -> str:
        bans = "1 ban" if self.bans == 1 else f"{self.bans:,} bans"
        return f"{self.matched:,} of {self.lines:,} lines matched rule {self.rule}, {bans}"


def _human(verdicts: Iterator[tuple[int, Verdict]]) -> None:
    for number, verdict in verdicts:
        if not verdict.matched:
            continue
        event = verdict.event
        who = event.address if event else "(a name, never resolved)"
        user = f" user {visible(event.user, 40)}" if event and event.user else ""
        ban = ""
        if event and event.weight < 1:
            user += f", {worth(event.weight)}"
        if verdict.ban:
            ban = click.style(f" BAN of {verdict.ban.subject}", fg="red", bold=True)
        click.echo(f"{number}: {moment(verdict.at)} {who}{user}{ban}")


def _lines(verdicts: Iterator[tuple[int, Verdict]]) -> None:
    out = sys.stdout.buffer.write  # click would flush after every line
    for number, verdict in verdicts:
        out(msgspec.json.encode(shape(number, verdict)) + b"\n")


def _document(verdicts: Iterator[tuple[int, Verdict]]) -> None:
    out = sys.stdout.buffer.write
    between = b"["
    for number, verdict in verdicts:
        out(between + msgspec.json.encode(shape(number, verdict)))
        between = b",\n "
    out(b"[]\n" if between == b"[" else b"]\n")


def shape(number: int, verdict: Verdict) -> dict[str, Any]:
    """Return the object of one line, as CLI.md has it."""
    event = verdict.event if verdict.matched else None
    return {
        "line": number,
        "matched": verdict.matched,
        "rule": event.rule if event else None,
        "ip": event.address if event else None,
        "time": rfc3339(verdict.at, "auto") if event else None,
        "user": (event.user or None) if event else None,
        "ban": verdict.ban is not None,
    }
