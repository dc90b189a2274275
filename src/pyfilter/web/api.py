# What a bouncer asks and is answered: the part of CrowdSec's local API that bouncers use
# (its published OpenAPI description, /v1/decisions and /v1/decisions/stream).
import time
from collections.abc import Iterable, Mapping
from typing import Any

from pyfilter.addresses import Network, network, parsed
from pyfilter.errors import AddressError
from pyfilter.web.mirror import Decision, Mirror

_FOR_EVER = 10 * 365 * 86400.0  # seconds; the API knows only durations
Query = Mapping[str, str]


class Api:
    """Answers bouncers, each from where it stopped reading."""

    def __init__(self, mirror: Mirror) -> None:
        self._mirror = mirror
        self._read: dict[str, int] = {}  # by bouncer, the last change it was told

    def decisions(self, query: Query) -> list[dict[str, Any]] | None:
        """Return the bans that a query selects; None when there are none, as the API does.

        Raises AddressError for an address that is none.
        """
        _, bans = self._mirror.all()
        asked = query.get("ip") or query.get("range") or query.get("value")
        if asked:
            bans = list(_covering(asked, bans, inside=query.get("contains") == "false"))
        return [shown(ban) for ban in bans if _selected(ban, query)] or None

    def stream(self, bouncer: str, query: Query) -> dict[str, Any]:
        """Return what is new and what is gone since this bouncer asked last."""
        changes = None
        if query.get("startup", "false") != "true" and bouncer in self._read:
            changes = self._mirror.since(self._read[bouncer])
        if changes is None:
            number, new = self._mirror.all()
            gone: list[Decision] = []
        else:
            number, new, gone = changes
        self._read[bouncer] = number
        return {
            "new": [shown(ban) for ban in new if _selected(ban, query)] or None,
            "deleted": [shown(ban) for ban in gone if _selected(ban, query)] or None,
        }


def shown(ban: Decision) -> dict[str, Any]:
    """Return a ban in the API's words."""
    left = _FOR_EVER if ban.until is None else max(0.0, ban.until - time.time())
    return {
        "duration": f"{left:.3f}s",
        "id": ban.id,
        "origin": "pyfilter",
        "scenario": ban.scenario,
        "scope": "Range" if "/" in ban.value else "Ip",
        "type": "ban",
        "value": ban.value,
    }


def _selected(ban: Decision, query: Query) -> bool:
    """Say whether a ban has the scope, type, origin and scenario that a query wants."""
    one = shown(ban)
    for key, field in (
        ("scope", "scope"),
        ("scopes", "scope"),
        ("type", "type"),
        ("origins", "origin"),
    ):
        wanted = query.get(key, "").lower()
        if wanted and one[field].lower() not in wanted.split(","):
            return False
    contain = [w for w in query.get("scenarios_containing", "").split(",") if w]
    without = [w for w in query.get("scenarios_not_containing", "").split(",") if w]
    if contain and not any(word in ban.scenario for word in contain):
        return False
    return not any(word in ban.scenario for word in without)


def _covering(text: str, bans: Iterable[Decision], *, inside: bool) -> Iterable[Decision]:
    """Yield the bans that cover an address or network, or with `inside` those within it."""
    asked = parsed(_canonical(text))
    for ban in bans:
        net = parsed(Network(ban.value))
        wider, narrower = (asked, net) if inside else (net, asked)
        if net.version == asked.version and narrower.subnet_of(wider):  # type: ignore[arg-type]
            yield ban


def _canonical(text: str) -> Network:
    try:
        return network(text)
    except AddressError:
        raise AddressError(f"{text[:64]!r} is no address or network") from None
