# The whole office at a glance: what `status` shows; reads only.
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

import pyfilter
from pyfilter.control.answers import FirewallRow, RuleRow, SourceRow, StatusAnswer
from pyfilter.control.office import Office
from pyfilter.control.requests import AskStatus
from pyfilter.control.views import kernel, observing
from pyfilter.errors import LedgerError, RefusedError
from pyfilter.model import Ban
from pyfilter.visible import visible

_HOUR = 3600


async def status(office: Office, request: AskStatus) -> StatusAnswer:
    """Return what `pyfilter status` shows, of one rule or of all."""
    if request.rule and request.rule not in office.settings.rules:
        known = ", ".join(sorted(office.settings.rules)) or "none"
        raise RefusedError(f"rule {request.rule!r} is not on; on are: {known}")
    bans = office.enforcer.bans()
    await kernel(office)  # so that the state tells of now
    state = office.enforcer.state()
    return StatusAnswer(
        version=pyfilter.__version__,
        name=office.settings.name or os.uname().nodename,
        pid=os.getpid(),
        since=office.started,
        now=office.now(),
        observe=observing(office),
        config=office.settings.path,
        sources=_sources(office, request.rule),
        rules=_rules(office, request.rule, bans),
        bans=len(bans),
        firewall=FirewallRow(state.name, state.health, state.expected, state.held, state.repairs),
        ledger=office.ledger.health(),
        fleet=office.fleet.state() if office.fleet else None,
        memory=_resident(),
        warnings=list(office.settings.warnings),
    )


def _sources(office: Office, rule: str) -> list[SourceRow]:
    rows = []
    for name, source in office.sources.items():
        rules = sorted(office.rules_of(name))
        if rule and rule not in rules:
            continue
        state = source.state()
        rows.append(
            SourceRow(
                source=state.source,
                state=state.state,
                detail=visible(state.detail),
                lines=state.lines,
                last_line=state.last_line,
                lag=state.lag,
                rules=rules,
            )
        )
    return rows


def _rules(office: Office, only: str, bans: Iterable[Ban]) -> list[RuleRow]:
    in_force: dict[str, int] = {}
    for ban in bans:
        in_force[ban.rule] = in_force.get(ban.rule, 0) + 1
    since, day, read = office.pipeline.statistics, _day(office), _read(office)
    return [
        RuleRow(
            name=name,
            title=one.rule.title,
            observe=one.observe,
            failures=since.get(name, (0, 0))[0],
            bans=since.get(name, (0, 0))[1],
            failures_day=day.get(name, (0, 0))[0],
            bans_day=day.get(name, (0, 0))[1],
            banned=in_force.get(name, 0),
            maxretry=one.limits.maxretry,
            findtime=one.limits.findtime,
            bantime=one.limits.bantime,
            counting=one.limits.counting,
            request_time=one.limits.request_time,
            sources=read.get(name, []),
        )
        for name, one in sorted(office.settings.rules.items())
        if not only or name == only
    ]


def _day(office: Office) -> Mapping[str, tuple[int, int]]:
    """Return (failures, bans) of each rule in the last 24 hours."""
    try:
        return office.ledger.counts(int(office.now()) // _HOUR - 23)
    except LedgerError:
        return {}


def _read(office: Office) -> Mapping[str, list[str]]:
    """Return the sources of each rule."""
    found: dict[str, list[str]] = {}
    for source in office.sources:
        for name in office.rules_of(source):
            found.setdefault(name, []).append(source)
    return found


def _resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
