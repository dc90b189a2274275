# Offence -> Ban: whether an offence bans, for how long, and the words for it.
from collections.abc import Sequence

from pyfilter.durations import spoken
from pyfilter.model import AT_ONCE, Ban, Event, History, Limits, Offence
from pyfilter.policy.escalation import bantime, strike
from pyfilter.visible import visible

_ENOUGH = 1e-6  # weights are floats; ten times 0.1 shall be 1
_KINDS = {"auth": "failures"}


def judge(
    offence: Offence, limits: Limits, history: History, now: float, origin: str, *, observe: bool
) -> Ban | None:
    """Return the ban an offence deserves, or None.

    None when what the subject did since it was last banned or released does not reach the limit: a
    log that is read again bans nobody twice and does not undo a release. None also when bantime is
    0. Times in seconds since the epoch.
    """
    since = _last_decision(history, now)
    evidence = tuple([event for event in offence.evidence if event.at > since])
    if offence.at <= since or (
        len(evidence) < len(offence.evidence) and not _reaches(evidence, offence, limits)
    ):
        return None
    number = strike(history, limits, now)
    lasts = bantime(number, limits)
    if lasts == 0:
        return None
    return Ban(
        offence.subject,
        since=now,
        until=None if lasts is None else now + lasts,
        reason=reason(offence.rule, evidence),
        rule=offence.rule,
        strike=number,
        origin=origin,
        observe=observe,
        evidence=evidence,
    )


def _last_decision(history: History, now: float) -> float:
    """Return when the subject was last banned or released, but for times that are yet to come.

    Those were written while the clock was ahead, and must not blind us until it is there again.
    """
    return max(at if at <= now else 0.0 for at in (history.last_banned, history.last_released))


def _reaches(evidence: Sequence[Event], offence: Offence, limits: Limits) -> bool:
    length = offence.subject.partition("/")[2]
    if ":" in offence.subject and length and int(length) < limits.ipv6_prefix:
        return False  # many networks together: their limit is another, so nothing may be missing
    return sum(event.weight for event in evidence) >= limits.maxretry - _ENOUGH


def reason(rule: str, evidence: Sequence[Event]) -> str:
    """Return in a few words what was done: `5 sshd failures in 42s, last user root`."""
    if not evidence:
        return f"{rule} limit reached"
    newest = evidence[-1]
    user = next((event.user for event in reversed(evidence) if event.user), "")
    by_user = f", last user {visible(user, 40)}" if user else ""
    if newest.weight == AT_ONCE:
        return f"{rule} {newest.kind}, banned at once{by_user}"
    kinds = {event.kind for event in evidence}
    what = _KINDS.get(newest.kind, f"{newest.kind} attempts") if len(kinds) == 1 else "attempts"
    if len(evidence) == 1:
        return f"1 {rule} {what.removesuffix('s')}{by_user}"
    span = newest.at - evidence[0].at
    return f"{len(evidence)} {rule} {what} in {spoken(max(span, 1.0))}{by_user}"
