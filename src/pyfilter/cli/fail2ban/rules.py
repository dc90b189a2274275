# fail2ban: a filter as a rule of the user's own, as far as each of its expressions allows.
from typing import Any

from msgspec import Struct, structs

from pyfilter.cli.fail2ban.dates import stamps
from pyfilter.cli.fail2ban.expressions import UnsuitedError, pattern
from pyfilter.cli.fail2ban.filters import FilterText
from pyfilter.errors import RuleError
from pyfilter.matching.cutting import wider
from pyfilter.matching.reading import Reader
from pyfilter.matching.rule import Pattern, Rule
from pyfilter.matching.safety import danger, explodes

_ADDRESS = {"ip", "host"}
_LONGEST = 60  # characters of an expression that is named


class Made(Struct, frozen=True):
    """A rule, and what of the filter it lacks, one sentence each."""

    rule: Rule
    left: tuple[str, ...] = ()
    slow: tuple[str, ...] = ()  # what is searched on a budget


def made(text: FilterText, name: str, journal: tuple[str, ...] = ()) -> Made:
    """Return a filter as a rule. Raises UnsuitedError where no expression of it can be taken."""
    if not text.failregex:
        raise UnsuitedError("it has no failregex")
    base = _base(text, name, journal)
    elsewhere = base.content is not None and bool(_ADDRESS & {*base.content.groups})
    patterns, left = _patterns(base, text, elsewhere=elsewhere)
    if not any(_ADDRESS & {*one.groups} or elsewhere for one in patterns):
        raise UnsuitedError(left[0].rpartition(": ")[2] if left else "none of it is a failure")
    listed = [one for one in (base.content, *patterns) if one and _explodes(one)]
    slow = [f"it may take too long and is searched on a budget: {_short(one)}" for one in listed]
    return Made(structs.replace(base, patterns=patterns), left, tuple(slow))


def _short(one: Pattern) -> str:
    text = one.match
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _explodes(one: Pattern) -> bool:
    body = wider(one.match) if one.slow else None
    return body is not None and bool(explodes(body))


def _measured(one: Pattern) -> Pattern:
    """Return a pattern, marked where a hostile line could make it slow."""
    body = wider(one.match)
    return structs.replace(one, slow=body is not None and bool(danger(body)))


def _base(text: FilterText, name: str, journal: tuple[str, ...]) -> Rule:
    """Return the rule without its patterns; what is wrong here concerns all of them."""
    content = (
        _measured(pattern(text.prefregex, content=True, hosts=text.names))
        if text.prefregex
        else None
    )
    places = stamps(text.datepattern)
    if journal and places:
        places = (*places, "^<time>")  # entries of the journal come with their own
    ignored = tuple(pattern(one, content=True, elsewhere=True).match for one in text.ignoreregex)
    base = Rule(name, format="cut", stamp=places, content=content, ignore=ignored, journal=journal)
    _proved(base)
    return base


def _patterns(
    base: Rule, filtered: FilterText, *, elsewhere: bool
) -> tuple[tuple[Pattern, ...], tuple[str, ...]]:
    patterns, left = [], []
    for number, text in enumerate(filtered.failregex, 1):
        try:
            one = _measured(pattern(text, elsewhere=elsewhere, hosts=filtered.names))
            if elsewhere and not _ADDRESS & {*one.groups}:
                one = _with_place(one)
            _proved(structs.replace(base, patterns=(one,)))
        except UnsuitedError as error:
            left.append(f"expression {number}: {error}")
        else:
            patterns.append(one)
    return tuple(patterns), tuple(left)


def _with_place(one: Pattern) -> Pattern:
    """Return a pattern whose address comes from the prefregex: an empty group stands for it."""
    return structs.replace(one, match=f"{one.match}()", groups=(*one.groups, "ip"))


def _proved(rule: Rule) -> None:
    try:
        Reader(rule).prepare()
    except RuleError as error:
        raise UnsuitedError(str(error).rpartition("': ")[2] or str(error)) from None


def table(rule: Rule) -> dict[str, Any]:
    """Return what [rules.NAME] says of a rule of the user's own."""
    written: dict[str, Any] = {"format": rule.format}
    written |= {"stamp": list(rule.stamp)} if rule.stamp else {}
    written |= {"content": _pattern(rule.content)} if rule.content else {}
    written["pattern"] = [_pattern(one) for one in rule.patterns]
    written |= {"ignore": list(rule.ignore)} if rule.ignore else {}
    written |= {"journal": list(rule.journal)} if rule.journal else {}
    return written


def _pattern(one: Pattern) -> dict[str, Any]:
    written = {"match": one.match, "groups": list(one.groups)}
    return written | {"slow": True} if one.slow else written
