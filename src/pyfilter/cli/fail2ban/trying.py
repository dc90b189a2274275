# fail2ban: a rule that was made is run over the end of its log: what it finds there, a person can judge.
from collections.abc import Iterator
from glob import glob
from pathlib import Path

from msgspec import Struct

from pyfilter.matching.matcher import Matcher
from pyfilter.matching.rule import Rule
from pyfilter.model import Block

_TAIL = 4_000_000  # bytes of a log that are read
_MOST = 8  # logs of one glob


class Tried(Struct, frozen=True):
    """How many lines of a log a rule matches."""

    rule: str
    log: str
    lines: int = 0
    matched: int = 0
    error: str = ""


def tried(rule: Rule, logs: tuple[str, ...], now: float) -> Iterator[Tried]:
    """Run a rule over the logs that are there."""
    for pattern in logs:
        paths = sorted(glob(pattern))  # noqa: PTH207 - a Path finds no absolute ones
        if not paths:
            yield Tried(rule.name, pattern, error="no such log is there now")
        for path in paths[:_MOST]:
            yield _tried(rule, path, now)


def _tried(rule: Rule, path: str, now: float) -> Tried:
    try:
        data = _tail(Path(path))
    except OSError as error:
        return Tried(rule.name, path, error=error.strerror or str(error))
    matcher = Matcher([(rule, ())])
    found = matcher.events(Block(path, data, now, live=False)) if data else []
    matched = sum(1 for event in found if event.weight) + matcher.unattributable
    return Tried(rule.name, path, data.count(b"\n"), matched)


def _tail(path: Path) -> bytes:
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - _TAIL))
        data = file.read(_TAIL)
    if size > _TAIL:
        data = data.partition(b"\n")[2]
    return data if not data or data.endswith(b"\n") else data + b"\n"
