# What people see of `status` and `why`.
import re
from collections.abc import Iterable

import click

from pyfilter.cli.output import ago, field, moment, size, table, until
from pyfilter.control.answers import (
    BanRow,
    EvidenceRow,
    RuleRow,
    SourceRow,
    StatusAnswer,
    WhyAnswer,
)
from pyfilter.durations import spoken

_EVIDENCE = 20  # lines
_PLACES = re.compile(r"(/[^\s;]+)(?: /[^\s;]+){2,}")
_WARNING = click.style("warning", fg="yellow")


def show_status(answer: StatusAnswer) -> None:
    """Write the whole status."""
    doing = "observing, bans nothing" if answer.observe else "guarding"
    click.echo(
        f"PyFilter {answer.version} on {answer.name}: {doing}, "
        f"up {spoken(answer.now - answer.since)} (since {moment(answer.since)}), "
        f"process {answer.pid}, {size(answer.memory)}"
    )
    click.echo()
    _show_parts(answer)
    click.echo()
    _show_sources(answer)
    click.echo()
    _show_rules(answer.rules)
    for row in answer.rules:
        if not row.sources:
            click.echo(f"\n{_WARNING}: rule {row.name} reads nothing: give it a logpath")
    for warning in answer.warnings:
        click.echo(f"\n{_WARNING}: {warning}")


def _show_parts(answer: StatusAnswer) -> None:
    _show_firewall(answer)
    field("ledger", answer.ledger, good=answer.ledger == "ok")
    field("fleet", _fleet(answer), good=_fleet_is_well(answer))
    field("config", answer.config or "built-in defaults")


def _show_firewall(answer: StatusAnswer) -> None:
    firewall = answer.firewall
    if answer.observe:
        field("firewall", f"none; {firewall.expected:,} would be banned")
        return
    bans = f"{firewall.held:,} of {firewall.expected:,} bans in place"
    if firewall.held >= firewall.expected:
        bans = f"{firewall.expected:,} bans, all in place" if firewall.expected else "no bans"
    repairs = f", put right {firewall.repairs} times" if firewall.repairs else ""
    good = firewall.health == "ok" and firewall.held >= firewall.expected
    field("firewall", f"{firewall.name}: {firewall.health}; {bans}{repairs}", good=good)


def _fleet(answer: StatusAnswer) -> str:
    if answer.fleet is None:
        return "none"
    text = str(answer.fleet.get("health", "unknown"))
    for server in answer.fleet.get("servers", []):
        seen = ago(server.get("last_seen"), answer.now)
        text += f"; {server.get('name')} seen {seen}"
    if waiting := answer.fleet.get("waiting"):
        text += f"; {waiting:,} decisions wait to be sent"
    for name, number in answer.fleet.get("refused", {}).items():
        text += f"; refused {number:,} from {name}"
    return text if answer.fleet.get("signed") else f"{text}; NOT SIGNED: it has no key_file"


def _fleet_is_well(answer: StatusAnswer) -> bool | None:
    fleet = answer.fleet
    return None if fleet is None else bool(fleet.get("signed") and fleet.get("health") == "ok")


def _show_sources(answer: StatusAnswer) -> None:
    if not answer.sources:
        click.echo("no sources: name a rule in the configuration, for instance [rules.sshd]")
        return
    table(
        ("source", "state", "lines", "last line", "lag", "rules", "detail"),
        [
            (
                called(row),
                row.state,
                f"{row.lines:,}",
                ago(row.last_line, answer.now),
                size(row.lag),
                ", ".join(row.rules),
                _PLACES.sub(_counted, row.detail),
            )
            for row in answer.sources
        ],
        right=("lines", "lag"),
    )


def called(row: SourceRow) -> str:
    """Return a short name of a source; where nobody named a log its own lists all that it may be."""
    whose = ", ".join(row.rules) or "no rule"
    if " or journal" in row.source:
        return f"usual log of {whose}"
    if row.source.startswith("journal "):
        return f"journal of {whose}"
    first, *others = row.source.split()
    return f"{first} and {len(others)} more" if others else first


def _counted(places: re.Match[str]) -> str:
    return f"{places[1]} … ({len(places[0].split())} places)"


def _show_rules(rules: Iterable[RuleRow]) -> None:
    table(
        ("rule", "failures", "bans", "failures/day", "bans/day", "banned now", "limit"),
        [
            (
                row.name,
                f"{row.failures:,}",
                f"{row.bans:,}",
                f"{row.failures_day:,}",
                f"{row.bans_day:,}",
                f"{row.banned:,}",
                limit(row),
            )
            for row in rules
        ],
        right=("failures", "bans", "failures/day", "bans/day", "banned now"),
    )


def limit(row: RuleRow) -> str:
    """Return a rule's policy in words: `5 in 10m: 1h`."""
    within = f"in {spoken(row.findtime)}"
    if row.counting == "streak":
        within = f"each within {spoken(row.request_time)}"
    observed = ", only observed" if row.observe else ""
    return f"{row.maxretry} {within}: {spoken(row.bantime)}{observed}"


def show_why(answer: WhyAnswer) -> None:
    """Write all that is known of an address."""
    where = f" ({answer.country})" if answer.country else ""
    verdict = "banned" if answer.bans else "not banned"
    click.echo(f"{answer.subject}{where}: {click.style(verdict, bold=True)}")
    for ban in answer.bans:
        _show_ban(ban)
    if answer.protected:
        click.echo(f"  protected: {answer.protected}")
    for row in answer.scores:
        click.echo(f"  counted now by {row.rule}: {row.score:g} of {row.limit}")
    _show_lines("evidence", answer.evidence)
    _show_lines("still counted", answer.recent)
    earlier = [row for row in answer.past if row.since not in {ban.since for ban in answer.bans}]
    if earlier:
        click.echo(f"  earlier bans ({answer.strikes} strikes):")
    for ban in earlier:
        click.echo(f"    {moment(ban.since)} {ban.rule or '-'}: {ban.reason} ({ban.origin})")


def _show_ban(ban: BanRow) -> None:
    whence = f"by {ban.by} ({ban.origin})" if ban.by else f"by {ban.origin or 'this server'}"
    rule = f" by rule {ban.rule}" if ban.rule else ""
    click.echo(f"  {ban.subject} banned{rule} {whence}: {ban.reason}")
    click.echo(f"  since {moment(ban.since)}, {until(ban.until)}")
    held = "only observed" if ban.observe else "NOT in the kernel"
    if ban.in_kernel:
        held = f"in the kernel, {ban.packets:,} packets dropped"
    click.echo(f"  strike {ban.strike}, {held}")


def _show_lines(title: str, rows: list[EvidenceRow]) -> None:
    if rows:
        click.echo(f"  {title}:")
    for row in rows[-_EVIDENCE:]:
        click.echo(f"    {moment(row.at)} {row.rule}: {row.line}")
