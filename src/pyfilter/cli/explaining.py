# `pyfilter explain`: every rule against a line, and why the near misses miss.
import time
from math import ceil
from typing import Any

import click

from pyfilter.cli.chosen import configured
from pyfilter.cli.context import Globals, pass_globals
from pyfilter.cli.lines import lines, opened
from pyfilter.cli.nearmiss import Finding, examine
from pyfilter.cli.output import emit, moment, rfc3339
from pyfilter.durations import spoken
from pyfilter.errors import RefusedError
from pyfilter.matching import library
from pyfilter.model import AT_ONCE, Event
from pyfilter.settings.tree import Settings
from pyfilter.visible import visible

_ORDER = ("matched", "off", "ignored", "near", "message", "header")


@click.command("explain")
@click.argument("line", default="-", metavar="[LINE|-]")
@pass_globals
def explain_command(options: Globals, line: str) -> None:
    """Hold every rule against a line and say how far it got in each."""
    found = configured(options)
    rules = {name: library.load(name) for name in library.names()}
    rules |= {name: one.rule for name, one in found.rules.items()}
    now = time.time()
    explained = []
    for given in _given(line):
        findings = [examine(rule, given, now) for rule in rules.values()]
        findings.sort(key=lambda finding: (_ORDER.index(finding.stage), finding.rule))
        explained.append((given, findings))
    shapes = [_shape(given, findings, now) for given, findings in explained]
    document = shapes if line == "-" else shapes[0]

    def human() -> None:
        for given, findings in explained:
            _show(given, findings, found, now, everything=options.verbose > 0)

    emit(options, document, human)
    if not any(one.stage == "matched" for _, findings in explained for one in findings):
        raise RefusedError("no rule matches: mend the nearest or write one (docs/rules.md)")


def _given(line: str) -> list[bytes]:
    if line != "-":
        return [line.encode("utf-8", "surrogateescape").rstrip(b"\n")]
    with opened("-") as stream:
        return list(lines(stream))


def _show(
    given: bytes, findings: list[Finding], found: Settings, now: float, *, everything: bool
) -> None:
    click.echo(visible(given))
    elsewhere = 0
    for finding in findings:
        if finding.stage in {"message", "header"} and not everything:
            elsewhere += 1
            continue
        style = {"matched": "green", "near": "yellow", "off": "yellow"}.get(finding.stage)
        click.echo(f"  {click.style(finding.stage, fg=style):<8}  {finding.rule}")
        if finding.pattern:
            click.echo(f"    pattern   {finding.pattern}")
        if finding.event:
            _show_event(finding.event, found, now)
        if finding.reason:
            click.echo(f"    {finding.reason}")
    if elsewhere:
        click.echo(f"  {elsewhere} more rules read other programs' lines (-v shows why)")


def _show_event(event: Event, found: Settings, now: float) -> None:
    own = moment(event.at) if event.at != now else "none of its own"
    click.echo(f"    address   {event.address}")
    click.echo(f"    user      {visible(event.user) or '-'}")
    click.echo(f"    time      {own}")
    counts = "bans at once" if event.weight == AT_ONCE else worth(event.weight)
    echo = ", unless its connection has counted" if event.echo else ""
    click.echo(f"    kind      {event.kind}, {counts}{echo}")
    if event.rule in found.rules:
        limits = found.rules[event.rule].limits
        within, bantime = spoken(limits.findtime), spoken(limits.bantime)
        few = 0 < event.weight < 1
        lines = f", {ceil(limits.maxretry / event.weight):,} lines such as this" if few else ""
        click.echo(f"    policy    {limits.maxretry} in {within} ban for {bantime}{lines}")
    else:
        click.echo(f"    policy    the rule is not on: [rules.{event.rule}] turns it on")


def worth(weight: float) -> str:
    """Return what an event counts, in words: most of a small weight mean nothing by themselves."""
    if not weight:
        return "no failure"
    return f"counts {weight:g} of a failure" if weight < 1 else f"counts {weight:g}"


def _shape(given: bytes, findings: list[Finding], now: float) -> dict[str, Any]:
    return {"line": visible(given), "rules": [_finding(one, now) for one in findings]}


def _finding(finding: Finding, now: float) -> dict[str, Any]:
    event = finding.event
    return {
        "rule": finding.rule,
        "stage": finding.stage,
        "reason": finding.reason,
        "pattern": finding.pattern or None,
        "ip": event.address if event else None,
        "user": (event.user or None) if event else None,
        "time": rfc3339(event.at) if event and event.at != now else None,
        "kind": event.kind if event else None,
        "weight": None if event is None or event.weight == AT_ONCE else event.weight,
    }
