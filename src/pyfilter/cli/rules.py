# `pyfilter rules`: the library of rules that come along.
from importlib.resources import files
from pathlib import Path
from typing import Any

import click
import msgspec

from pyfilter.cli.chosen import configured, read_rule
from pyfilter.cli.context import Globals, pass_globals
from pyfilter.cli.output import emit, table
from pyfilter.cli.values import rule_names
from pyfilter.errors import RefusedError, RuleError
from pyfilter.matching import library
from pyfilter.matching.rule import Rule


@click.group("rules")
def rules_command() -> None:
    """Look into the rules that come along, and test them."""


@rules_command.command("list")
@pass_globals
def listed(options: Globals) -> None:
    """Show services, their kinds, and what fail2ban and CrowdSec call them."""
    on = configured(options).rules
    rules = [library.load(name) for name in library.names()]
    rules += [one.rule for name, one in on.items() if name not in library.names()]

    def human() -> None:
        table(
            ("rule", "on", "service", "kinds", "fail2ban", "crowdsec"),
            [
                (
                    rule.name,
                    "on" if rule.name in on else "",
                    rule.title,
                    ", ".join(
                        kind if kind in default_kinds(rule) else f"({kind})"
                        for kind in all_kinds(rule)
                    ),
                    ", ".join(rule.fail2ban),
                    ", ".join(rule.crowdsec),
                )
                for rule in rules
            ],
        )

    emit(options, [_shape(rule, on=rule.name in on) for rule in rules], human)


def _shape(rule: Rule, *, on: bool) -> dict[str, Any]:
    return {
        "name": rule.name,
        "title": rule.title,
        "on": on,
        "kinds": all_kinds(rule),
        "default_kinds": default_kinds(rule),
        "ports": rule.ports,
        "logpath": rule.logpath,
        "fail2ban": rule.fail2ban,
        "crowdsec": rule.crowdsec,
    }


def all_kinds(rule: Rule) -> list[str]:
    """Return the kinds of failures that a rule knows, in its order."""
    return list(dict.fromkeys(p.kind for p in rule.patterns if p.weight))


def default_kinds(rule: Rule) -> list[str]:
    return [kind for kind in all_kinds(rule) if not rule.kinds or kind in rule.kinds]


@rules_command.command("show")
@click.argument("name", shell_complete=rule_names)
@pass_globals
def show(options: Globals, name: str) -> None:
    """Show a rule as its file has it."""
    on = configured(options).rules
    rule = on[name].rule if name in on and name not in library.names() else library.load(name)
    emit(options, msgspec.to_builtins(rule), lambda: click.echo(_written(rule), nl=False))


def _written(rule: Rule) -> str:
    """Return the file of a rule of the library, the JSON of any other."""
    file = files("pyfilter") / "rules" / f"{rule.name}.toml"
    if file.is_file():
        return file.read_text("utf-8")
    return msgspec.json.format(msgspec.json.encode(rule), indent=2).decode() + "\n"


@rules_command.command("test")
@click.argument("name", metavar="[NAME|FILE]", required=False, shell_complete=rule_names)
@pass_globals
def test(options: Globals, name: str | None) -> None:
    """Run each rule, or one, over its own samples."""
    rules = _to_test(name)
    wrong = {rule.name: library.check(rule) for rule in rules}

    def human() -> None:
        for rule in rules:
            count = f"{len(rule.samples)} samples"
            click.echo(f"{'ok' if not wrong[rule.name] else 'WRONG':<6}{rule.name}: {count}")
            for sentence in wrong[rule.name]:
                click.echo(f"      {sentence}")

    shapes = [
        {"rule": rule.name, "samples": len(rule.samples), "wrong": wrong[rule.name]}
        for rule in rules
    ]
    emit(options, shapes, human)
    bad = [rule_name for rule_name, sentences in wrong.items() if sentences]
    if bad:
        raise RefusedError(f"samples of {', '.join(bad)} fail: mend the patterns or the samples")


def _to_test(name: str | None) -> list[Rule]:
    if name is None:
        return [library.load(one) for one in library.names()]
    if name not in library.names() and Path(name).is_file():
        return [read_rule(Path(name))]
    if name.endswith(".toml"):
        raise RuleError(f"{name}: there is no such file")
    return [library.load(name)]
