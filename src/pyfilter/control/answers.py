# What the control socket answers; times in seconds since the epoch, text safe to show.
from typing import Any, Literal

from msgspec import Struct

from pyfilter.control.requests import Role


class Welcome(Struct, frozen=True, tag="welcome", tag_field="is"):
    version: int
    role: Role
    user: str
    server: str = ""  # version of the daemon


class Refusal(Struct, frozen=True, tag="refusal", tag_field="is"):
    """Why not, in one sentence; `kind` is the error of errors.py that it stands for."""

    kind: str
    message: str


class SourceRow(Struct, frozen=True):
    source: str
    state: str
    detail: str
    lines: int
    last_line: float | None
    lag: int  # bytes
    rules: list[str] = []


class RuleRow(Struct, frozen=True):
    """One rule that is on; counts since the start and over the last day."""

    name: str
    title: str
    observe: bool
    failures: int
    bans: int
    failures_day: int
    bans_day: int
    banned: int  # in force now
    maxretry: int
    findtime: float  # seconds
    bantime: float  # seconds; -1: for ever
    counting: str = "window"
    request_time: float = 0.0  # streak counting: seconds between one failure and the next
    sources: list[str] = []  # none: the rule reads nothing


class FirewallRow(Struct, frozen=True):
    name: str
    health: str  # "ok" or what is wrong
    expected: int  # subjects that should be blocked
    held: int  # of them in the kernel
    repairs: int  # times that the kernel was put right again


class StatusAnswer(Struct, frozen=True, tag="status", tag_field="is"):
    version: str
    name: str
    pid: int
    since: float
    now: float
    observe: bool
    config: str
    sources: list[SourceRow]
    rules: list[RuleRow]
    bans: int
    firewall: FirewallRow
    ledger: str  # "ok" or what is wrong
    fleet: dict[str, Any] | None
    memory: int  # resident bytes
    warnings: list[str] = []


class BanRow(Struct, frozen=True):
    subject: str
    rule: str
    reason: str
    since: float
    until: float | None
    strike: int
    origin: str
    by: str
    country: str | None
    in_kernel: bool
    packets: int
    observe: bool = False
    ended: float | None = None  # history: when it was lifted before its time, and
    cause: str = ""  # by whom


class BansAnswer(Struct, frozen=True, tag="bans", tag_field="is"):
    bans: list[BanRow]
    next: str = ""  # empty: this was the last page


class OutcomeRow(Struct, frozen=True, omit_defaults=True):
    """What became of one subject of a ban, an unban or an allowance."""

    subject: str
    done: bool
    message: str = ""  # for people
    until: float | None = None
    covered_by: list[str] = []  # unban: bans that still hold the subject


class OutcomesAnswer(Struct, frozen=True, tag="outcomes", tag_field="is"):
    outcomes: list[OutcomeRow]


class ScoreRow(Struct, frozen=True):
    rule: str
    score: float
    limit: int


class EvidenceRow(Struct, frozen=True):
    at: float
    rule: str
    line: str  # made visible
    user: str


class WhyAnswer(Struct, frozen=True, tag="why", tag_field="is"):
    subject: str
    country: str | None
    protected: str | None
    bans: list[BanRow]
    evidence: list[EvidenceRow]
    recent: list[EvidenceRow]
    scores: list[ScoreRow]
    past: list[BanRow]
    strikes: int


class AllowedRow(Struct, frozen=True):
    entry: str
    until: float | None
    note: str
    by: str
    configured: bool = False  # stands in the configuration file


class AllowedAnswer(Struct, frozen=True, tag="allowed", tag_field="is"):
    entries: list[AllowedRow]


class ExaminedAnswer(Struct, frozen=True, tag="examined", tag_field="is"):
    samples: int
    wrong: list[str]  # one sentence each


class ReloadAnswer(Struct, frozen=True, tag="reload", tag_field="is"):
    warnings: list[str]


class Happening(Struct, frozen=True, tag="happening", tag_field="is"):
    """One numbered event or decision of a stream."""

    number: int
    what: Literal["event", "ban", "release"]
    at: float
    subject: str
    rule: str = ""
    user: str = ""
    weight: float | None = None
    line: str = ""
    until: float | None = None
    reason: str = ""  # a ban's reason, a release's cause
    origin: str = ""
    by: str = ""


Answer = (
    Welcome
    | Refusal
    | StatusAnswer
    | BansAnswer
    | OutcomesAnswer
    | WhyAnswer
    | AllowedAnswer
    | ExaminedAnswer
    | ReloadAnswer
    | Happening
)
