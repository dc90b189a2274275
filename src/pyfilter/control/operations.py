# What each request does to the office; no request takes the event loop for long.
import asyncio
import re
from collections.abc import Iterable

from pyfilter.addresses import Address, Network, is_host, network, parsed
from pyfilter.addresses import covering as counted_as
from pyfilter.control.answers import (
    AllowedAnswer,
    AllowedRow,
    Answer,
    OutcomeRow,
    OutcomesAnswer,
    ReloadAnswer,
)
from pyfilter.control.office import Office, Outcome
from pyfilter.control.overview import status
from pyfilter.control.pages import Pages
from pyfilter.control.reach import covering, within
from pyfilter.control.requests import (
    AllowAdd,
    AllowList,
    AllowRemove,
    AskStatus,
    AskWhy,
    BanSubjects,
    Follow,
    ListBans,
    Reload,
    Request,
    UnbanSubjects,
)
from pyfilter.control.views import happening, why
from pyfilter.durations import FOREVER
from pyfilter.errors import AddressError, LedgerError, RefusedError
from pyfilter.model import Allowance, Ban, Decision, Release
from pyfilter.visible import visible

OPERATOR = "operator"
_LONGEST_WORDS = 300  # characters of a reason or note
_MOST_GRACES = 10_000
_CHUNK = 500  # decisions between two turns of the event loop
_WIDEST = {4: 8, 6: 19}  # shorter prefixes hold whole registries: only by force
_NAME = re.compile(
    r"(?=.{1,253}$)[A-Za-z0-9_]([A-Za-z0-9_-]*\.)*[A-Za-z0-9_-]*[A-Za-z]\.?", re.ASCII
)


class Operations:
    """Answers requests by an office."""

    def __init__(self, office: Office) -> None:
        self._office = office
        self._pages = Pages(office)

    async def answer(self, request: Request, user: str) -> Answer:
        """Return the answer; every decision made here bears the user's name."""
        match request:
            case BanSubjects():
                return await self._ban(request, user)
            case UnbanSubjects():
                return await self._unban(request, user)
            case AllowAdd():
                return await self._allow(request, user)
            case AllowRemove():
                return self._disallow(request)
            case Reload():
                return ReloadAnswer(list(await self._office.reload()))
        return await self._look(request)

    async def _look(self, request: Request) -> Answer:
        match request:
            case AskStatus():
                return await status(self._office, request)
            case ListBans():
                return await self._pages.page(request)
            case AskWhy():
                return await why(self._office, request)
            case AllowList():
                return self._allowed()
        raise RefusedError("the daemon does not know this request: restart it after an update")

    def happenings(self, request: Follow, after: int) -> tuple[int, list[Answer]]:
        """Return what a follower has not seen, and the number up to which it now has."""
        ring = self._office.ring
        if after < 0:
            after = ring.latest
        found = ring.after(after)
        shown: list[Answer] = [
            happening(number, item)
            for number, item in found
            if (request.decisions if isinstance(item, Ban | Release) else request.events)
        ]
        return (found[-1][0] if found else after), shown

    async def news(self, after: int) -> None:
        """Return once something happened after a number."""
        await self._office.ring.wait(after)

    async def _apply(self, decisions: list[Decision], *, force: bool = False) -> list[Outcome]:
        outcomes: list[Outcome] = []
        for start in range(0, len(decisions), _CHUNK):
            chunk = decisions[start : start + _CHUNK]
            outcomes += self._office.enforcer.apply(chunk, force=force)
            await asyncio.sleep(0)
        return outcomes

    async def _ban(self, request: BanSubjects, user: str) -> OutcomesAnswer:
        seconds = request.seconds
        if seconds is None:
            seconds = self._office.settings.defaults.bantime
        until = None if seconds == FOREVER else self._office.now() + seconds
        rows: dict[Network, OutcomeRow] = {}
        decisions: list[Decision] = []
        for subject in _subjects(request.subjects):
            if refused := self._reason_against(subject, force=request.force):
                rows[subject] = OutcomeRow(subject, done=False, message=refused)
            else:
                decisions.append(self._made(subject, until, request.reason, user))
        for outcome in await self._apply(decisions, force=request.force):
            subject = outcome.decision.subject
            rows[subject] = _row(outcome, until)
        return OutcomesAnswer(list(rows.values()))

    def _made(self, subject: Network, until: float | None, reason: str, user: str) -> Ban:
        try:
            strikes = self._office.ledger.history(subject).strikes
        except LedgerError:
            strikes = 0
        return Ban(
            subject=subject,
            since=self._office.now(),
            until=until,
            reason=visible(reason, _LONGEST_WORDS) or "by hand",
            strike=strikes + 1,
            origin=OPERATOR,
            by=user,
        )

    def _reason_against(self, subject: Network, *, force: bool) -> str:
        net = parsed(subject)
        if net.prefixlen == 0:
            return "that is the whole Internet: name a smaller network"
        if net.prefixlen < _WIDEST[net.version] and not force:
            return f"networks wider than /{_WIDEST[net.version]} need --force"
        if not force and (why := self._office.enforcer.protected(subject)):
            return f"protected: {why}"
        return ""

    async def _unban(self, request: UnbanSubjects, user: str) -> OutcomesAnswer:
        bans = [ban.subject for ban in self._office.enforcer.bans()]
        if request.everything:
            if request.grace and len(bans) > _MOST_GRACES:
                raise RefusedError(f"--grace goes with at most {_MOST_GRACES} bans: name networks")
            await self._release(bans, user)
            self._spare(bans, request.grace, user)
            return OutcomesAnswer([OutcomeRow(s, done=True) for s in bans])
        rows = []
        for subject in _subjects(request.subjects):
            lifted = self._meant(subject, bans)
            await self._release(lifted, user)
            gone = set(lifted)
            bans = [ban for ban in bans if ban not in gone]
            still: list[str] = list(covering(subject, bans))
            if lifted:
                self._spare([subject, *lifted], request.grace, user)
            rows += [OutcomeRow(one, done=True, covered_by=still) for one in lifted]
            if not lifted:
                reason = "not banned itself" if still else "not banned"
                rows.append(OutcomeRow(subject, False, reason, covered_by=still))
        return OutcomesAnswer(rows)

    def _meant(self, subject: Network, bans: list[Network]) -> list[Network]:
        """Return the bans of a subject: its own, those in it, its IPv6 network's."""
        lifted = within(subject, bans)
        if is_host(subject) and ":" in subject:
            settings = self._office.settings
            lengths = {rule.limits.ipv6_prefix for rule in settings.rules.values()}
            lengths.add(settings.defaults.ipv6_prefix)
            own = {counted_as(Address(subject), length) for length in lengths} - {subject}
            lifted += [ban for ban in bans if ban in own]
        return lifted

    async def _release(self, subjects: Iterable[Network], user: str, cause: str = OPERATOR) -> None:
        now = self._office.now()
        await self._apply([Release(s, now, cause, OPERATOR, user) for s in subjects])

    def _spare(self, subjects: Iterable[Network], grace: float, user: str) -> None:
        """Keep subjects from being banned again for some seconds."""
        if grace:
            until = None if grace == FOREVER else self._office.now() + grace
            note = "grace after an unban"
            self._office.allow(*(Allowance(one, until, note, user) for one in {*subjects}))

    def _grant(self, entry: str, seconds: float, note: str, user: str) -> float | None:
        until = None if seconds == FOREVER else self._office.now() + seconds
        self._office.allow(Allowance(entry, until, visible(note, _LONGEST_WORDS), user))
        return until

    async def _allow(self, request: AllowAdd, user: str) -> OutcomesAnswer:
        entry = _entry(request.entry)
        until = self._grant(entry, request.seconds, request.note, user)
        rows = [OutcomeRow(entry, done=True, until=until)]
        try:
            subject = network(entry)
        except AddressError:
            return OutcomesAnswer(rows)
        freed = within(subject, [ban.subject for ban in self._office.enforcer.bans()])
        await self._release(freed, user, "allowlist")
        return OutcomesAnswer([*rows, *(OutcomeRow(one, True, "released") for one in freed)])

    def _disallow(self, request: AllowRemove) -> OutcomesAnswer:
        entry = _entry(request.entry)
        if self._office.disallow(entry):
            return OutcomesAnswer([OutcomeRow(entry, done=True)])
        why = "not on the allowlist"
        if entry in self._office.protection.configured:
            why = "stands in ignoreip of the configuration: take it out there and reload"
        return OutcomesAnswer([OutcomeRow(entry, done=False, message=why)])

    def _allowed(self) -> AllowedAnswer:
        protection = self._office.protection
        rows = [AllowedRow(entry, None, "", "", configured=True) for entry in protection.configured]
        rows += [AllowedRow(a.entry, a.until, a.note, a.by) for a in protection.allowances.values()]
        return AllowedAnswer(rows)


def _row(outcome: Outcome, until: float | None) -> OutcomeRow:
    reason = outcome.reason
    if isinstance(outcome.decision, Ban) and reason == "is banned already":
        reason += ", and for longer: unban it first"
    return OutcomeRow(outcome.decision.subject, outcome.done, reason, until)


def _subjects(texts: Iterable[str]) -> list[Network]:
    return list(dict.fromkeys(network(text) for text in texts))


def _entry(text: str) -> str:
    """Return an allowlist entry in canonical text; host names in lower case."""
    try:
        return network(text)
    except AddressError:
        if not _NAME.fullmatch(text):
            raise
        return text.lower().rstrip(".")
