# fail2ban: a rule that was made is run over the end of its log: what it finds there, a person can judge.
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

from pyfilter.matching.matcher import Matcher
from pyfilter.matching.rule import Rule
from pyfilter.model import Block

_TAIL = 4_000_000  # bytes of a log that are read
_MOST = 8  # logs


class Tried(Struct, frozen=True):
    """How many lines of a log a rule matches."""

    rule: str
    log: str
    lines: int = 0
    matched: int = 0
    error: str = ""


def tried(rule: Rule, logs: tuple[str, ...], now: float) -> Iterator[Tried]:
    """Run a rule over the logs that are there."""
    paths = sorted({path for pattern in logs for path in Path("/").glob(pattern.lstrip("/"))})
    for path in paths[:_MOST]:
        try:
            data = _tail(path)
        except OSError as error:
            yield Tried(rule.name, str(path), error=error.strerror or str(error))
            continue
        matcher = Matcher([(rule, ())])
        found = matcher.events(Block(str(path), data, now, live=False)) if data else []
        matched = sum(1 for event in found if event.weight) + matcher.unattributable
        yield Tried(rule.name, str(path), data.count(b"\n"), matched)


def _tail(path: Path) -> bytes:
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - _TAIL))
        data = file.read(_TAIL)
    if size > _TAIL:
        data = data.partition(b"\n")[2]
    return data if not data or data.endswith(b"\n") else data + b"\n"
