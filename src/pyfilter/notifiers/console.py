# Speaks as the original PyFilter does: lines on the console and in hourly log files.
import sys
from collections.abc import Callable
from pathlib import Path

from msgspec import Struct

from pyfilter.addresses import Network
from pyfilter.model import Ban, Decision
from pyfilter.notifiers.speaker import Speaker

_PEOPLE = {"", "operator"}  # origins that are no server


class Console(Struct, frozen=True, tag="console", tag_field="type", forbid_unknown_fields=True):
    """Settings of the console as the published tutorial shows it."""

    directory: str = ""  # of the hourly files; empty: none

    def open(self, server: str, country: Callable[[Network], str]) -> "ConsoleNotifier":
        """Speak for a server; `country` returns the sentence on where an address is from."""
        directory = Path(self.directory) if self.directory else None
        return ConsoleNotifier(Speaker(sys.stdout, directory), server, country)


class ConsoleNotifier:
    """Tells of bans in the original's words."""

    name = "console"

    def __init__(self, speaker: Speaker, server: str, country: Callable[[Network], str]) -> None:
        self.speaker, self._server, self._country = speaker, server, country

    def tell(self, decision: Decision) -> None:
        subject = decision.subject
        server = self._server if decision.origin in _PEOPLE else decision.origin
        if not isinstance(decision, Ban):
            self.speaker.say(f"Released IP: {subject} ({decision.cause}).", stamped=True)
            return
        found = "Would ban IP" if decision.observe else "Found IP"
        self.speaker.say(
            f"{found}: {subject} from server: {server}. {self._country(subject)}", stamped=True
        )

    def checking(self, rule: str) -> None:
        """Say that a rule has something to read."""
        self.speaker.say(f"Checking {rule.title()} logs")

    def nothing_to_check(self, rule: str) -> None:
        """Say that a rule was given nothing to read."""
        self.speaker.say(f"No file to check within rule: {rule.title()}")

    def say(self, text: str) -> None:
        self.speaker.say(text)

    def close(self) -> None:
        self.speaker.close()
