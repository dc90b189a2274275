# What doctor looks at, one function a thing; each says what is wrong and how to mend it.
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

from msgspec import Struct

from pyfilter import sources
from pyfilter.cli.screens import called
from pyfilter.control.answers import ExaminedAnswer, StatusAnswer, WhyAnswer
from pyfilter.control.client import Client
from pyfilter.control.requests import AskStatus, AskWhy, Examine
from pyfilter.daemon.duties import place_of
from pyfilter.errors import FirewallError, PyfilterError
from pyfilter.matching.timestamps import Stamps
from pyfilter.settings.tree import RuleSettings, Settings
from pyfilter.sources.journalctl import journal_trouble
from pyfilter.sources.paths import look

_TAIL = 65536  # bytes at the end of a log that are looked at
_ODD_CLOCK = 3600.0  # seconds; a zone that is wrong is wrong by an hour at least
_PATIENCE = 10.0  # seconds for a program that is asked
_QUIET = {"quiet", "fatal", "error"}  # sshd's LogLevels that leave failures out


class Finding(Struct, frozen=True):
    """One thing that was looked at; `mend` says what to do where it is not good."""

    of: str
    level: Literal["good", "note", "bad"]
    text: str
    mend: str = ""


def said_by(*command: str) -> str | None:
    """Return what a program writes; None when it is missing, fails or hangs."""
    if shutil.which(command[0], path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin") is None:
        return None
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_PATIENCE, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout + done.stderr if done.returncode == 0 else None


def firewall(found: Settings) -> Iterator[Finding]:
    """Open the configured firewall as the daemon would, and list what it holds."""
    wall = None
    try:
        wall = found.firewall.open()
        held = len(wall.blocked())
    except FirewallError as error:
        mend = "try again with sudo" if error.privilege else "see docs/configuration.md"
        yield Finding("firewall", "note" if error.privilege else "bad", str(error), mend)
    else:
        yield Finding("firewall", "good", f"{wall.name} answers, {held} addresses blocked")
    finally:
        if wall is not None:
            wall.close()
    others = [name for name in ("fail2ban-server", "crowdsec", "sshguard") if _runs(name)]
    for name in others:
        yield Finding(
            "firewall", "note", f"{name} runs beside us", "two programs that ban confuse: stop one"
        )
    if Path("/run/docker.sock").exists():
        yield Finding("firewall", "good", "Docker is here: its ports are covered (prerouting)")


def _runs(name: str) -> bool:
    for process in Path("/proc").glob("[0-9]*/comm"):
        try:
            if process.read_text().strip() == name[:15]:
                return True
        except OSError:
            continue  # it has ended meanwhile
    return False


def logs(found: Settings) -> Iterator[Finding]:
    """Look at the log of every rule that is on."""
    if not found.rules:
        yield Finding("rules", "bad", "no rule is on", "name one: [rules.sshd] in pyfilter.toml")
    for name, rule in found.rules.items():
        yield from _log_of(name, rule)


def _log_of(name: str, rule: RuleSettings) -> Iterator[Finding]:
    place = place_of(rule)
    of = f"rule {name}"
    if place is None:
        yield Finding(of, "note", "reads nothing", "set logpath")
    elif isinstance(place, sources.Stdin):
        yield Finding(of, "good", "reads standard input")
    elif isinstance(place, sources.Journal):
        yield _journal(of, journal_trouble())
    else:
        seen = look(place.paths)
        yield from _files(of, list(seen.files.values()), list(seen.refused.items()))
        if not seen.files and not seen.refused:
            yield _absent(of, place)


def _absent(of: str, place: sources.Files | sources.Usual) -> Finding:
    mend = "set logpath to where the service logs, or leave the rule out"
    if isinstance(place, sources.Usual) and place.matches:
        trouble = journal_trouble()
        if not trouble:
            return Finding(of, "good", "the journal is read")
        mend = f"{mend}; the journal cannot stand in: {trouble}"
    paths = " ".join(place.paths)
    none = f"none of {paths} is there" if " " in paths else f"{paths} is not there"
    return Finding(of, "bad", none, mend)


def _journal(of: str, trouble: str) -> Finding:
    if trouble:
        return Finding(of, "bad", f"the journal cannot be read: {trouble}", "name a logpath")
    return Finding(of, "good", "the journal is read")


def _files(of: str, files: list[str], refused: list[tuple[str, str]]) -> Iterator[Finding]:
    for path, why in refused:
        yield Finding(of, "bad", f"{path}: {why}", "name another file, or give PyFilter access")
    for path in files:
        try:
            with Path(path).open("rb") as log:
                log.seek(max(0, os.fstat(log.fileno()).st_size - _TAIL))
                lines = log.read(_TAIL).splitlines()
        except OSError as error:
            yield Finding(of, "bad", f"{path}: {error.strerror}", "try again with sudo")
            continue
        yield _freshness(of, path, lines)


def _freshness(of: str, path: str, lines: list[bytes]) -> Finding:
    """Hold the newest line's own time against that of the file."""
    stamps, written = Stamps(), Path(path).stat().st_mtime
    at = next((s for s in (stamps.at_start(x, time.time()) for x in reversed(lines)) if s), None)
    if at is not None and abs(at - written) > _ODD_CLOCK:
        hours = (at - written) / 3600
        text = f"{path}: the time of its newest line is {hours:+.1f} h off that of the file"
        return Finding(of, "bad", text, "set the time zone of the service that writes it")
    return Finding(of, "good", f"{path}: readable")


def sshd(found: Settings) -> Iterator[Finding]:
    """Ask sshd whether it logs failures at all."""
    if "sshd" not in found.rules:
        return
    text = said_by("sshd", "-T")
    if text is None:
        yield Finding("sshd", "note", "sshd -T did not answer", "try again with sudo")
        return
    options = dict(line.split(" ", 1) for line in text.splitlines() if " " in line)
    level = options.get("loglevel", "INFO").lower()
    if level in _QUIET:
        text = f"sshd logs at {level.upper()}: its failures are not written"
        yield Finding("sshd", "bad", text, "LogLevel INFO in /etc/ssh/sshd_config")
    else:
        yield Finding("sshd", "good", f"sshd logs at {level.upper()}")


def clock(_: Settings) -> Iterator[Finding]:
    """Ask systemd whether the clock is kept."""
    text = said_by("timedatectl", "show", "-p", "NTPSynchronized", "--value")
    if text is not None and text.strip() == "no":
        yield Finding("clock", "note", "is not synchronised", "timedatectl set-ntp true")
    elif text is not None:
        yield Finding("clock", "good", "is synchronised")


def running(connect: Callable[[], Client]) -> Iterator[Finding]:
    """Ask the daemon how it is, and let it read its rules' own samples."""
    try:
        with connect() as client:
            yield from _state(client.ask(AskStatus(), StatusAnswer))
            yield _examined(client.ask(Examine(), ExaminedAnswer))
            if peer := os.environ.get("SSH_CONNECTION", "").partition(" ")[0]:
                yield _you(peer, client.ask(AskWhy(peer), WhyAnswer))
    except PyfilterError as error:
        yield Finding("daemon", "bad", str(error))


def _state(status: StatusAnswer) -> Iterator[Finding]:
    yield Finding("daemon", "good", f"runs as process {status.pid}")
    for of, health in (("firewall", status.firewall.health), ("ledger", status.ledger)):
        if health != "ok":
            yield Finding(of, "bad", health, "see its log: journalctl -u PyFilter")
    if status.firewall.held != status.firewall.expected and not status.observe:
        text = f"holds {status.firewall.held} of {status.firewall.expected} bans"
        yield Finding("firewall", "bad", text, "it mends itself within 30 s; else see the log")
    for source in status.sources:
        if source.state != "ok":
            detail = source.detail.removeprefix(f"{source.state} ")
            text = f"{called(source)} is {source.state}: {detail}"
            yield from (Finding(f"rule {name}", "bad", text) for name in source.rules)
    for warning in status.warnings:
        yield Finding("configuration", "note", warning)


def distinct(findings: list[Finding]) -> list[Finding]:
    """Leave out what the daemon says of a rule's log where our own look says how to mend it."""
    mended = {one.of for one in findings if one.level == "bad" and one.mend}
    return [one for one in findings if one.level != "bad" or one.mend or one.of not in mended]


def _examined(answer: ExaminedAnswer) -> Finding:
    if answer.wrong:
        more = f" and {len(answer.wrong) - 1} more" if len(answer.wrong) > 1 else ""
        return Finding("rules", "bad", answer.wrong[0] + more, "pyfilter rules test")
    return Finding("rules", "good", f"the daemon reads all {answer.samples} samples rightly")


def _you(peer: str, answer: WhyAnswer) -> Finding:
    if answer.protected:
        return Finding("you", "good", f"{peer} is protected: {answer.protected}")
    return Finding("you", "note", f"{peer} is not protected", f"pyfilter allow add {peer}")
