# Tells of decisions in one plain line each on standard error, for the journal or a terminal.
import os
import sys
from collections.abc import Callable

from msgspec import Struct

from pyfilter.addresses import Network
from pyfilter.durations import spoken
from pyfilter.model import Ban, Decision, Release
from pyfilter.notifiers.speaker import Speaker


class Lines(Struct, frozen=True, tag="lines", tag_field="type", forbid_unknown_fields=True):
    """Settings of the plain lines."""

    def open(self, server: str, country: Callable[[Network], str]) -> "LinesNotifier":
        """Speak for a server; `country` is not asked, `pyfilter bans` shows it."""
        del country
        return LinesNotifier(
            Speaker(sys.stderr), server, stamped="JOURNAL_STREAM" not in os.environ
        )


class LinesNotifier:
    """Tells of bans and releases, one line each."""

    name = "lines"

    def __init__(self, speaker: Speaker, server: str, *, stamped: bool = False) -> None:
        self.speaker, self._server, self._stamped = speaker, server, stamped

    def tell(self, decision: Decision) -> None:
        told = self._ban(decision) if isinstance(decision, Ban) else self._release(decision)
        self.say(told)

    def _ban(self, ban: Ban) -> str:
        verb = "Would ban" if ban.observe else "Banned"
        span = spoken(-1 if ban.until is None else ban.until - ban.since)
        lasts = span if ban.until is None else f"for {span}"
        return f"{verb} {ban.subject} ({ban.reason}{self._other(ban)}) {lasts}"

    def _release(self, release: Release) -> str:
        return f"Released {release.subject} ({release.cause}{self._other(release)})"

    def _other(self, decision: Decision) -> str:
        if decision.by:
            return f", by {decision.by}"
        own = decision.origin in {"", "operator", self._server}
        return "" if own else f", from server {decision.origin}"

    def checking(self, rule: str) -> None:
        """Say that a rule has something to read."""
        self.say(f"Guarding {rule}")

    def nothing_to_check(self, rule: str) -> None:
        """Say that a rule was given nothing to read."""
        self.say(f"Nothing to read for {rule}")

    def say(self, text: str) -> None:
        self.speaker.say(text, stamped=self._stamped)

    def close(self) -> None:
        self.speaker.close()
