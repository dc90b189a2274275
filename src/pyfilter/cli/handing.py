# Bans taken over from another program, given to the running daemon, else to the ledger.
from collections.abc import Sequence
from pathlib import Path

from pyfilter.cli.context import Globals
from pyfilter.errors import NotRunningError
from pyfilter.model import Ban

_PATIENCE = 120.0  # seconds; many bans may be taken over at once
_CHUNK = 1000
_FOREVER = -1.0


def hand_over(options: Globals, bans: Sequence[Ban], now: float) -> list[str]:
    """Give bans to the running daemon, else to the ledger; return what was refused, and why."""
    try:
        client = options.client(_PATIENCE)
    except NotRunningError:
        _record(options, bans)
        return []
    from pyfilter.control.answers import OutcomesAnswer  # noqa: PLC0415 - only with a daemon
    from pyfilter.control.requests import BanSubjects  # noqa: PLC0415

    alike: dict[tuple[float, str], list[str]] = {}  # one request for bans that end together
    for ban in bans:
        seconds = _FOREVER if ban.until is None else max(1.0, float(round(ban.until - now)))
        alike.setdefault((seconds, _told(ban)), []).append(ban.subject)
    refused = []
    with client:
        for (seconds, reason), subjects in alike.items():
            for start in range(0, len(subjects), _CHUNK):
                request = BanSubjects(subjects[start : start + _CHUNK], seconds, reason)
                rows = client.ask(request, OutcomesAnswer).outcomes
                refused += [f"{row.subject}: {row.message}" for row in rows if not row.done]
    return refused


def _told(ban: Ban) -> str:
    known = "taken over from fail2ban"
    return ban.reason if ban.reason.startswith(known) else "taken over from the original PyFilter"


def _record(options: Globals, bans: Sequence[Ban]) -> None:
    """Write bans into the ledger; the daemon checks and takes them up when it starts."""
    from pyfilter.ledger import Sqlite  # noqa: PLC0415 - only without a daemon

    settings = options.settings()
    place = Path(settings.ledger or f"{settings.state_dir}/pyfilter.db")
    place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    ledger = Sqlite(str(place)).open()
    try:
        for start in range(0, len(bans), _CHUNK):
            ledger.record(bans[start : start + _CHUNK])
    finally:
        ledger.close()
