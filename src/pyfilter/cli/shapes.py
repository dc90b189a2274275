# The JSON of the commands: what the daemon answered, with times in RFC 3339.
from typing import Any

from pyfilter.cli.output import rfc3339
from pyfilter.control.answers import (
    AllowedRow,
    BanRow,
    EvidenceRow,
    OutcomeRow,
    SourceRow,
    StatusAnswer,
    WhyAnswer,
)
from pyfilter.durations import FOREVER

Shape = dict[str, Any]


def ban(row: BanRow) -> Shape:
    """Return one entry of `pyfilter bans -o json`."""
    return {
        "address": row.subject,
        "rule": row.rule,
        "reason": row.reason,
        "since": rfc3339(row.since),
        "until": rfc3339(row.until),
        "strike": row.strike,
        "origin": row.origin,
        "country": row.country,
        "in_kernel": row.in_kernel,
        "packets": row.packets,
    }


def past_ban(row: BanRow) -> Shape:
    """Return one entry of `pyfilter bans --history -o json`."""
    return ban(row) | {"ended": rfc3339(row.ended), "cause": row.cause or None, "by": row.by}


def status(answer: StatusAnswer) -> Shape:
    firewall = answer.firewall
    return {
        "version": answer.version,
        "name": answer.name,
        "pid": answer.pid,
        "since": rfc3339(answer.since),
        "uptime": round(answer.now - answer.since),
        "state": "ok" if well(answer) else "degraded",
        "observe": answer.observe,
        "config": answer.config,
        "bans": answer.bans,
        "sources": [_source(row) for row in answer.sources],
        "rules": [
            {name: getattr(row, name) for name in row.__struct_fields__} for row in answer.rules
        ],
        "firewall": {
            "name": firewall.name,
            "state": firewall.health,
            "expected": firewall.expected,
            "in_kernel": firewall.held,
            "drift": firewall.expected - firewall.held,
            "repairs": firewall.repairs,
        },
        "ledger": answer.ledger,
        "fleet": _fleet(answer),
        "memory": answer.memory,
        "warnings": answer.warnings,
    }


def _fleet(answer: StatusAnswer) -> Shape | None:
    if answer.fleet is None:
        return None
    seen = answer.fleet.get("servers", [])
    servers = [row | {"last_seen": rfc3339(row.get("last_seen"), "milliseconds")} for row in seen]
    return answer.fleet | {"servers": servers}


def well(answer: StatusAnswer) -> bool:
    """Say whether everything does what it should."""
    firewall = answer.firewall
    return (
        firewall.health == "ok"
        and answer.ledger == "ok"
        and (answer.observe or firewall.held >= firewall.expected)
        and all(row.state in {"ok", "waiting"} for row in answer.sources)
    )


def _source(row: SourceRow) -> Shape:
    return {
        "source": row.source,
        "state": row.state,
        "detail": row.detail,
        "lines": row.lines,
        "last_line": rfc3339(row.last_line),
        "lag": row.lag,
        "rules": row.rules,
    }


def why(answer: WhyAnswer) -> Shape:
    return {
        "address": answer.subject,
        "banned": bool(answer.bans),
        "bans": [ban(row) | {"by": row.by} for row in answer.bans],
        "evidence": [_evidence(row) for row in answer.evidence],
        "recent": [_evidence(row) for row in answer.recent],
        "scores": {row.rule: {"score": row.score, "limit": row.limit} for row in answer.scores},
        "country": answer.country,
        "protected": answer.protected,
        "strikes": answer.strikes,
        "past": [past_ban(row) for row in answer.past],
    }


def _evidence(row: EvidenceRow) -> Shape:
    return {"time": rfc3339(row.at), "rule": row.rule, "user": row.user or None, "line": row.line}


def allowed(row: AllowedRow) -> Shape:
    return {
        "entry": row.entry,
        "until": rfc3339(row.until),
        "note": row.note,
        "by": row.by,
        "configured": row.configured,
    }


def outcome(row: OutcomeRow) -> Shape:
    return {
        "address": row.subject,
        "done": row.done,
        "message": row.message,
        "until": rfc3339(row.until),
        "covered_by": row.covered_by,
    }


def lasts(seconds: float) -> float | None:
    """Return seconds, None for ever."""
    return None if seconds == FOREVER else seconds
