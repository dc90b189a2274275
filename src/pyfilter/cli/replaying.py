# `pyfilter replay`: what a policy would have done with old logs.
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from pyfilter import settings
from pyfilter.addresses import Address, Network, parsed
from pyfilter.cli.chosen import configured, rule_settings
from pyfilter.cli.context import Globals, pass_globals
from pyfilter.cli.lines import opened
from pyfilter.cli.output import emit, rfc3339, table
from pyfilter.cli.replay import Replay, Report, doubtful, speed
from pyfilter.cli.values import rule_names
from pyfilter.countries import Countries
from pyfilter.errors import RefusedError
from pyfilter.model import Ban
from pyfilter.settings.tree import RuleSettings, Settings

_SHOWN = 20  # rows of the tables for people; JSON has all


@click.command("replay")
@click.option("--rule", "rules", multiple=True, metavar="NAME", shell_complete=rule_names)
@click.option("--policy", type=click.Path(dir_okay=False), help="A second configuration.")
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@pass_globals
def replay_command(
    options: Globals, rules: tuple[str, ...], policy: str | None, files: tuple[str, ...]
) -> None:
    """Run old logs through the daemon's pipeline: who would have been banned, and when."""
    found = configured(options)
    countries = Countries(found.geo.database)
    chosen = [rule_settings(options, name) for name in rules] or _rules(found)
    document = _document(_run(files, chosen, found.ignoreip), countries)
    if policy is not None:
        other = settings.load(policy)
        wanted = [r for r in _rules(other) if not rules or r.rule.name in rules]
        second = _document(_run(files, wanted, other.ignoreip), countries)
        document["compared"] = _compared(document, second)
    emit(options, document, lambda: _show(document))


def _rules(found: Settings) -> list[RuleSettings]:
    if not found.rules:
        raise RefusedError("no rule is on: name one with --rule")
    return list(found.rules.values())


def _run(files: Iterable[str], rules: list[RuleSettings], ignoreip: tuple[str, ...]) -> Report:
    replay = Replay(rules, ignoreip)
    began = time.monotonic()
    for name in files:
        path = Path(name)
        at_hand = name != "-" and path.is_file()
        written = path.stat().st_mtime if at_hand else time.time()
        with opened(name) as stream, _progress(name, at_hand) as advance:
            for _ in replay.read(stream, written):
                advance(stream.tell() if at_hand else 0)
    if sys.stderr.isatty():
        lines = f"{replay.report.lines:,} lines"
        click.echo(f"{lines}, {speed(replay.report, began):,.0f} a second", err=True)
    return replay.report


@contextmanager
def _progress(name: str, at_hand: bool) -> Iterator[Any]:
    """Show a bar on a terminal; its length is that of the file, unpacked as far as known."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console  # noqa: PLC0415 - only on a terminal
    from rich.progress import Progress  # noqa: PLC0415

    total = None if not at_hand or name.endswith(".gz") else Path(name).stat().st_size
    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(Path(name).name, total=total)
        yield lambda done: bar.update(task, completed=done)


def _document(report: Report, countries: Countries) -> dict[str, Any]:
    return {
        "lines": report.lines,
        "failures": report.failures,
        "through": report.through,
        "stopped": report.failures - report.through,
        "first": rfc3339(report.first),
        "last": rfc3339(report.last),
        "rules": dict(report.by_rule),
        "countries": dict(Counter(_country(ban.subject, countries) for ban in report.bans)),
        "bans": [_ban(ban, countries) for ban in report.bans],
        "doubtful": [
            {"address": who, "login": rfc3339(at)} for who, at in sorted(doubtful(report).items())
        ],
    }


def _ban(ban: Ban, countries: Countries) -> dict[str, Any]:
    return {
        "address": ban.subject,
        "rule": ban.rule,
        "reason": ban.reason,
        "since": rfc3339(ban.since),
        "until": rfc3339(ban.until),
        "strike": ban.strike,
        "country": countries.code(_host(ban.subject)),
    }


def _host(subject: Network) -> Address:
    return Address(str(parsed(subject).network_address))


def _country(subject: Network, countries: Countries) -> str:
    return countries.code(_host(subject)) or "unknown"


def _compared(one: dict[str, Any], two: dict[str, Any]) -> dict[str, Any]:
    """Return how a second policy differs from the first."""
    before, after = ({ban["address"] for ban in each["bans"]} for each in (one, two))
    return {
        "only_first": sorted(before - after),
        "only_second": sorted(after - before),
        "both": len(before & after),
        "bans": len(two["bans"]),
        "through": two["through"],
        "doubtful": two["doubtful"],
    }


def _show(document: dict[str, Any]) -> None:
    span = f" from {document['first']} to {document['last']}" if document["first"] else ""
    click.echo(f"{document['lines']:,} lines{span}")
    stopped, through = document["stopped"], document["through"]
    click.echo(
        f"{document['failures']:,} failures: {stopped:,} would have been stopped, "
        f"{through:,} would have come through"
    )
    addresses = {ban["address"] for ban in document["bans"]}
    click.echo(f"{len(document['bans']):,} bans of {len(addresses):,} addresses")
    rows = [
        (ban["address"], ban["rule"], ban["since"], ban["until"] or "for ever", str(ban["strike"]))
        for ban in document["bans"][-_SHOWN:]
    ]
    if rows:
        click.echo(f"\nthe newest {len(rows)}:" if len(document["bans"]) > _SHOWN else "")
        table(("address", "rule", "since", "until", "strike"), rows)
    _show_countries(document["countries"])
    for one in document["doubtful"]:
        click.echo(f"doubtful: {one['address']} logged in at {one['login']}")
    if "compared" in document:
        _show_compared(document["compared"])


def _show_countries(countries: dict[str, int]) -> None:
    most = Counter(countries).most_common(_SHOWN)
    if most:
        click.echo("\n" + ", ".join(f"{name} {count:,}" for name, count in most))


def _show_compared(compared: dict[str, Any]) -> None:
    click.echo(
        f"\nthe other policy: {compared['bans']:,} bans, {compared['through']:,} failures through, "
        f"{compared['both']:,} addresses banned by both"
    )
    for key, words in (("only_first", "not by the other"), ("only_second", "only by the other")):
        named = compared[key]
        if named:
            more = f" and {len(named) - _SHOWN:,} more" if len(named) > _SHOWN else ""
            click.echo(f"{words}: {', '.join(named[:_SHOWN])}{more}")
