# Matching: messages that a visitor broke. A service that writes line breaks as a visitor sends them lets
# it write lines of its own; the last line of such a message tells, and what stands before is not believed.
import re
from collections.abc import Iterable

from pyfilter.errors import RuleError
from pyfilter.matching.emit import emit, silent
from pyfilter.matching.pattern import PLACEHOLDERS
from pyfilter.matching.rule import Rule
from pyfilter.matching.syntax import ExpressionError, Parser
from pyfilter.matching.tree import Node

_REACH = 2048  # bytes of the longest message


class Breaks:
    """Takes out of a block what visitors may have written as lines of their own."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        """Compile what tells the last lines. Raises RuleError."""
        self._last = [_compiled(rule) for rule in rules if rule.broken]

    def mended(self, data: bytes) -> bytes:
        """Return the data with doubtful lines emptied, as many lines as before."""
        for last in self._last:
            for match in last.finditer(data):
                begin = data.rfind(b"\n", 0, match.start()) + 1
                end = data.find(b"\n", match.end())
                reach = (len(data) if end < 0 else end) - _REACH
                if begin <= reach:
                    continue
                start = data.find(b"\n", reach - 1, begin) + 1 if reach > 0 else 0
                lines = data.count(b"\n", start, begin)
                emptied = b" " * (begin - start - lines) + b"\n" * lines  # keeps all places
                data = data[:start] + emptied + data[begin:]
        return data


def last_of(rule: Rule) -> Node:
    """Return the tree of what tells the last line of a broken message. Raises ExpressionError."""
    return Parser(rule.broken, PLACEHOLDERS).parse()


def _compiled(rule: Rule) -> re.Pattern[bytes]:
    try:
        expression = emit(last_of(rule), silent).encode("latin-1")
        return re.compile(expression, re.ASCII | re.MULTILINE)
    except (ExpressionError, re.error, ValueError) as error:
        raise RuleError(f"rule {rule.name}: broken {rule.broken!r}: {error}") from None
