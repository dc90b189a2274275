# Bans by the page: those in force from the enforcer, those of the past from the ledger.
import time
from bisect import bisect_right
from collections.abc import Mapping

import msgspec

from pyfilter.addresses import Network
from pyfilter.control.answers import BanRow, BansAnswer
from pyfilter.control.office import Office
from pyfilter.control.requests import LARGEST_PAGE, ListBans
from pyfilter.control.views import ban_row, kernel
from pyfilter.errors import RefusedError
from pyfilter.model import Ban, Blocked, Decision, Release

_FRESH = 5.0  # seconds for which the pages of a listing share one look into the kernel
_MOST_ENDS = 50_000  # remembered over the pages of one history
_LONGEST_NUMBER = 18  # digits

Key = tuple[float, str]


class Pages:
    """Answers page after page of one listing without listing the kernel for each."""

    def __init__(self, office: Office) -> None:
        self._office = office
        self._kernel: Mapping[Network, Blocked] = {}
        self._bans: list[Ban] = []  # oldest first
        self._ends: dict[Network, tuple[float, str]] = {}  # by the decision that came after
        self._looked = -_FRESH

    async def page(self, request: ListBans) -> BansAnswer:
        """Return a page, newest first; a cursor stays good on another connection."""
        if not 0 < request.limit <= LARGEST_PAGE:
            raise RefusedError(f"a page may have 1 to {LARGEST_PAGE} rows")
        now = time.monotonic()
        if not request.cursor or now - self._looked > _FRESH:
            self._looked = now
            self._kernel = await kernel(self._office)
            self._bans = sorted(self._office.enforcer.bans(), key=_key)
            self._ends = {}
        return self._past(request) if request.history else self._in_force(request)

    def _in_force(self, request: ListBans) -> BansAnswer:
        start = len(self._bans)
        if request.cursor:
            start = bisect_right(self._bans, _read(request.cursor), key=_key)
        rows: list[BanRow] = []
        for ban in reversed(self._bans[:start]):
            if len(rows) == request.limit:
                return BansAnswer(rows, f"{ban.since!r} {ban.subject}")
            if _wanted(ban, request):
                rows.append(ban_row(self._office, ban, self._kernel))
        return BansAnswer(rows)

    def _past(self, request: ListBans) -> BansAnswer:
        """Return a page; it may have fewer rows than the limit and yet not be the last."""
        before = _number(request.cursor)
        found = self._office.ledger.past(before=before, limit=request.limit)
        rows: list[BanRow] = []
        for _, decision in found:
            later = self._ends.pop(decision.subject, None)
            if len(self._ends) < _MOST_ENDS:
                self._ends[decision.subject] = _end(decision)
            if isinstance(decision, Ban) and _wanted(decision, request):
                rows.append(_ended(ban_row(self._office, decision, self._kernel), later))
        more = len(found) == request.limit
        return BansAnswer(rows, str(found[-1][0]) if more else "")


def _key(ban: Ban) -> Key:
    return ban.since, ban.subject


def _read(cursor: str) -> Key:
    since, _, subject = cursor.partition(" ")
    try:
        return float(since), subject
    except ValueError:
        raise _no_cursor() from None


def _number(cursor: str) -> int:
    if len(cursor) > _LONGEST_NUMBER or not (cursor.isdecimal() or cursor == ""):
        raise _no_cursor()
    return int(cursor or "0")


def _no_cursor() -> RefusedError:
    return RefusedError("that is no cursor: take `next` of the page before")


def _wanted(ban: Ban, request: ListBans) -> bool:
    return request.rule in {"", ban.rule} and request.origin in {"", ban.origin}


def _end(decision: Decision) -> tuple[float, str]:
    """Return when and by what a decision ended the one before it."""
    if isinstance(decision, Release):
        return decision.at, decision.cause
    return decision.since, "banned anew"


def _ended(row: BanRow, later: tuple[float, str] | None) -> BanRow:
    if later is None or (row.until is not None and later[0] >= row.until):
        return row
    changed = msgspec.structs.replace(row, ended=later[0], cause=later[1], in_kernel=False)
    return msgspec.structs.replace(changed, packets=0)
