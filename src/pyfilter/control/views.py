# What the office knows of an address, and how bans and events look from outside; reads only.
from collections.abc import Mapping

from pyfilter.addresses import Address, Network, network, parsed
from pyfilter.control.answers import (
    BanRow,
    EvidenceRow,
    ScoreRow,
    WhyAnswer,
)
from pyfilter.control.office import Office
from pyfilter.control.reach import Reach
from pyfilter.control.requests import AskWhy
from pyfilter.errors import FirewallError, LedgerError
from pyfilter.model import Ban, Blocked, Event
from pyfilter.visible import visible

OBSERVING = "observe"  # the firewall that bans nothing
_PAST = 10  # earlier bans that `why` shows


async def why(office: Office, request: AskWhy) -> WhyAnswer:
    """Return all that is known of one address or network."""
    subject = network(request.subject)
    in_force = office.enforcer.bans()
    over = set(Reach(ban.subject for ban in in_force).covering(subject))
    bans = [ban for ban in in_force if ban.subject in over]
    held = await kernel(office) if bans else {}
    strikes = _strikes(office, subject)
    past = _past(office, subject)
    evidence = [event for ban in bans for event in _evidence(office, ban)]
    return WhyAnswer(
        subject=subject,
        country=country(office, subject),
        protected=office.enforcer.protected(subject),
        bans=[ban_row(office, ban, held) for ban in bans],
        evidence=[evidence_row(event) for event in evidence],
        recent=[evidence_row(e) for e in office.pipeline.recent(subject) if e not in evidence],
        scores=_scores(office, office.pipeline.score(subject)),
        past=[ban_row(office, ban, held) for ban in past],
        strikes=strikes,
    )


def _scores(office: Office, scores: Mapping[str, float]) -> list[ScoreRow]:
    rules = office.settings.rules
    return [
        ScoreRow(name, score, rules[name].limits.maxretry)
        for name, score in sorted(scores.items())
        if score and name in rules
    ]


async def kernel(office: Office) -> Mapping[Network, Blocked]:
    """Return what the kernel holds; nothing when it cannot be read, as `status` then says."""
    try:
        held = await office.enforcer.blocked()
    except FirewallError:
        return {}
    return {} if observing(office) else held


def observing(office: Office) -> bool:
    """Say whether the firewall only remembers what it would block."""
    return office.settings.firewall.__struct_config__.tag == OBSERVING


def _strikes(office: Office, subject: Network) -> int:
    try:
        return office.ledger.history(subject).strikes
    except LedgerError:
        return 0


def _past(office: Office, subject: Network) -> list[Ban]:
    """Return the latest bans of a subject, newest first."""
    try:
        found = office.ledger.past(subject=subject, limit=_PAST)
    except LedgerError:
        return []
    return [decision for _, decision in found if isinstance(decision, Ban)]


def _evidence(office: Office, ban: Ban) -> tuple[Event, ...]:
    """Return what a ban in force was made for, from memory or from the ledger."""
    return next(
        (one.evidence for one in (ban, *_past(office, ban.subject)) if one.evidence),
        (),
    )


def evidence_row(event: Event) -> EvidenceRow:
    return EvidenceRow(event.at, event.rule, visible(event.line), visible(event.user))


def country(office: Office, subject: Network) -> str | None:
    return office.countries.code(Address(str(parsed(subject).network_address)))


def ban_row(office: Office, ban: Ban, kernel: Mapping[Network, Blocked]) -> BanRow:
    """Return a ban as it is shown, with what the kernel holds of it."""
    held = kernel.get(ban.subject)
    return BanRow(
        subject=ban.subject,
        rule=ban.rule,
        reason=visible(ban.reason),
        since=ban.since,
        until=ban.until,
        strike=ban.strike,
        origin=ban.origin,
        by=ban.by,
        country=country(office, ban.subject),
        in_kernel=held is not None,
        packets=held.packets if held else 0,
        observe=ban.observe or observing(office),
    )
