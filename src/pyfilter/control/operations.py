# What each request does to the office; no request takes the event loop for long.
import asyncio
from collections.abc import Iterable, Mapping, Sequence

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
from pyfilter.control.entries import canonical
from pyfilter.control.examining import examined
from pyfilter.control.office import Office, Outcome
from pyfilter.control.overview import status
from pyfilter.control.pages import Pages
from pyfilter.control.reach import Reach
from pyfilter.control.requests import (
    AllowAdd,
    AllowList,
    AllowRemove,
    AskStatus,
    AskWhy,
    BanSubjects,
    Examine,
    ListBans,
    Reload,
    Request,
    UnbanSubjects,
)
from pyfilter.control.ring import Ring
from pyfilter.control.sharing import share
from pyfilter.control.views import why
from pyfilter.durations import FOREVER
from pyfilter.errors import AddressError, LedgerError, RefusedError
from pyfilter.model import Allowance, Ban, Decision, Release
from pyfilter.visible import visible

OPERATOR, LOCAL = "operator", "local"
_LONGEST_WORDS = 300  # characters of a reason or note
_LONGEST = 100 * 366 * 86400.0  # seconds that a ban may last if not for ever
_MOST_GRACES = 10_000
_CHUNK = 500  # decisions between two turns of the event loop
_WIDEST = {4: 8, 6: 19}  # shorter prefixes hold whole registries: only by force


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
            case Examine():
                return await examined(self._office)
        raise RefusedError("the daemon does not know this request: restart it after an update")

    @property
    def ring(self) -> Ring:
        return self._office.ring

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
        until = self._end(seconds)
        rows: dict[Network, OutcomeRow] = {}
        decisions: list[Decision] = []
        for subject in _subjects(request.subjects):
            if refused := self._reason_against(subject, force=request.force):
                rows[subject] = OutcomeRow(subject, done=False, message=refused)
            else:
                decisions.append(self._made(subject, until, request.reason, user))
            await asyncio.sleep(0)
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
        spared = self._end(request.grace) if request.grace else 0.0
        bans = [ban.subject for ban in self._office.enforcer.bans()]
        asked = bans if request.everything else _subjects(request.subjects)
        reach = Reach(bans)
        lifted: dict[Network, list[Network]] = {}
        for subject in asked:
            lifted[subject] = [subject] if request.everything else self._meant(subject, reach)
            reach.drop(lifted[subject])
            if not request.everything:
                await asyncio.sleep(0)
        every = [ban for found in lifted.values() for ban in found]
        if request.grace and len(every) > _MOST_GRACES:
            raise RefusedError(f"--grace goes with at most {_MOST_GRACES} bans: allow a network")
        await self._release(every, user, LOCAL if request.local else OPERATOR)
        if request.grace:
            self._spare(lifted, spared, user)
        rows: list[OutcomeRow] = []
        for subject, found in lifted.items():
            rows += _lifted(subject, found, reach.covering(subject))
        return OutcomesAnswer(rows)

    def _meant(self, subject: Network, reach: Reach) -> list[Network]:
        """Return the bans of a subject: its own, those in it, its IPv6 network's."""
        lifted = reach.within(subject)
        if is_host(subject) and ":" in subject:
            settings = self._office.settings
            lengths = {rule.limits.ipv6_prefix for rule in settings.rules.values()}
            lengths.add(settings.defaults.ipv6_prefix)
            own = {counted_as(Address(subject), length) for length in lengths} - {subject}
            lifted += [ban for ban in reach.covering(subject) if ban in own]
        return lifted

    async def _release(self, subjects: Iterable[Network], user: str, cause: str = OPERATOR) -> None:
        now = self._office.now()
        await self._apply([Release(s, now, cause, OPERATOR, user) for s in subjects])

    def _spare(
        self, lifted: Mapping[Network, Sequence[Network]], until: float | None, user: str
    ) -> None:
        """Keep what was lifted, and who was meant, from being banned again until a time."""
        entries = {one for subject, bans in lifted.items() if bans for one in (subject, *bans)}
        note = "grace after an unban"
        self._office.allow(*(Allowance(one, until, note, user) for one in sorted(entries)))

    def _end(self, seconds: float) -> float | None:
        """Return when so many seconds end; None for ever."""
        if seconds == FOREVER:
            return None
        if not 0 < seconds <= _LONGEST:
            raise RefusedError("that is no time to last: give 1s to 100 years, or -1 for ever")
        return self._office.now() + seconds

    async def _allow(self, request: AllowAdd, user: str) -> OutcomesAnswer:
        entry = canonical(request.entry)
        until = self._end(request.seconds)
        note = visible(request.note, _LONGEST_WORDS)
        allowance = Allowance(entry, until, note, user)
        if request.fleet:
            share(self._office, allowance, allowed=True)
        self._office.allow(allowance)
        rows = [OutcomeRow(entry, done=True, until=until)]
        try:
            subject = network(entry)
        except AddressError:
            return OutcomesAnswer(rows)
        freed = Reach(ban.subject for ban in self._office.enforcer.bans()).within(subject)
        await self._release(freed, user, "allowlist")
        return OutcomesAnswer([*rows, *(OutcomeRow(one, True, "released") for one in freed)])

    def _disallow(self, request: AllowRemove) -> OutcomesAnswer:
        entry = canonical(request.entry)
        if request.fleet:
            share(self._office, Allowance(entry), allowed=False)
        if self._office.disallow(entry) or request.fleet:
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


def _lifted(
    subject: Network, lifted: Sequence[Network], still: Sequence[Network]
) -> list[OutcomeRow]:
    if lifted:
        return [OutcomeRow(one, done=True, covered_by=[*still]) for one in lifted]
    reason = "not banned itself" if still else "not banned"
    return [OutcomeRow(subject, done=False, message=reason, covered_by=[*still])]


def _subjects(texts: Iterable[str]) -> list[Network]:
    return list(dict.fromkeys(network(text) for text in texts))
