# Matching: lines of rules taken over from fail2ban: the time is cut out of them, wherever it stands,
# and expressions are searched for in what is left, or in a part of it.
import re
import warnings
from typing import NamedTuple

from pyfilter.errors import RuleError
from pyfilter.matching.forms import CUT_STAMP
from pyfilter.matching.rule import Rule
from pyfilter.matching.safety import explodes
from pyfilter.matching.syntax import ExpressionError, Parser
from pyfilter.matching.tree import Node

_ANYWHERE = "<time>"
_WITHIN_WORD = re.compile(rb"\w\w", re.ASCII)  # the scanner counts on words being whole
_EDGE = r"(?!(?<=\w)\w)"  # a time does not begin or end within a word
_KNOWN_FORM = re.compile(r"(?<!\?P)<time>")


class Cut(NamedTuple):
    """A line without its time."""

    text: bytes
    stamp: bytes


class Cutter:
    """Cuts the time out of lines."""

    def __init__(self, rule: Rule) -> None:
        """Compile the rule's stamps. Raises RuleError."""
        self._stamps = tuple(_compile(rule, text) for text in rule.stamp or (_ANYWHERE,))

    def cut(self, line: bytes) -> Cut:
        """Return a line without the first stamp that fits; a line without any as it is."""
        for expression in self._stamps:
            if match := expression.search(line):
                start, end = match.span("time")
                text = line[:start] + line[end:]
                if not _WITHIN_WORD.match(text, max(0, start - 1)):
                    return Cut(text, match["time"])
        return Cut(line, b"")


def _compile(rule: Rule, text: str) -> re.Pattern[bytes]:
    """Return a stamp's expression: `<time>` is any known form, cut out unless a group says what."""
    opens = "(?:" if "(?P<time>" in text else "(?P<time>"
    known = f"{_EDGE}{opens}{CUT_STAMP}){_EDGE}"
    try:
        expression = re.compile(_KNOWN_FORM.sub(lambda _: known, text).encode())
    except (re.error, ValueError, OverflowError, RecursionError) as error:
        raise RuleError(f"rule {rule.name}: stamp {text!r}: {error}") from None
    if "time" not in expression.groupindex:
        raise RuleError(
            f"rule {rule.name}: stamp {text!r}: it needs <time> or a group of that name"
        )
    return expression


def foreign(text: str) -> re.Pattern[bytes]:
    """Compile an expression taken over from elsewhere. Raises what `re.compile` does."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what Python will read otherwise one day
        return re.compile(text.encode("utf-8", "surrogateescape"))


def searched(rule: Rule, text: str) -> re.Pattern[bytes]:
    """Return an expression that is searched for. Raises RuleError."""
    try:
        expression = foreign(text)
    except (re.error, ValueError, OverflowError, RecursionError) as error:
        raise RuleError(f"rule {rule.name}: ignore {text!r}: {error}") from None
    body = wider(text)
    if body is not None and (why := explodes(body)):
        raise RuleError(f"rule {rule.name}: ignore {text!r}: {why}")
    return expression


def wider(text: str) -> Node | None:
    """Return a tree of all that an expression fits and perhaps more, None where none can be read.

    Look-around is left out and a back-reference is any text.
    """
    try:
        return Parser(text, loose=True).parse()
    except (ExpressionError, ValueError, RecursionError):
        return None
