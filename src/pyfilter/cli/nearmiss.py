# How far a line gets in a rule: through its header, its ignores, and along each pattern.
import re

from msgspec import Struct

from pyfilter.matching.emit import emit, silent
from pyfilter.matching.matcher import Matcher
from pyfilter.matching.pattern import Compiled
from pyfilter.matching.reading import Reader
from pyfilter.matching.rule import Rule
from pyfilter.matching.tree import ANY, Alt, Char, Group, Node, Repeat, Seq
from pyfilter.model import Block, Event

_WORTH = 5  # characters that a pattern must share with a message to be called near
_SHOWN = 60  # characters of what was expected


class Finding(Struct, frozen=True):
    """Where a line ended in one rule."""

    rule: str
    stage: str  # matched, off, ignored, near, message, header
    reason: str
    pattern: str = ""
    event: Event | None = None


def examine(rule: Rule, line: bytes, now: float) -> Finding:
    """Return how far a line (without its newline) gets in a rule; `now` stands for no time."""
    kinds = {pattern.kind for pattern in rule.patterns}
    reader = Reader(rule, kinds)
    hit = reader.hit(line)
    if hit is not None:
        block = Block("explain", line + b"\n", now, live=False)
        events = Matcher([(rule, kinds)]).events(block)
        event = events[0] if events else None
        stage, reason = _verdict(rule, hit.pattern.kind, event)
        return Finding(rule.name, stage, reason, hit.pattern.match, event)
    message = reader.message(line)
    if message is None:
        return Finding(rule.name, "header", _no_message(rule))
    if any(one.regex.fullmatch(message.text) for one in reader.patterns):
        return Finding(rule.name, "ignored", "an `ignore` of the rule takes it out")
    return _nearest(rule, reader, message.text)


def _verdict(rule: Rule, kind: str, event: Event | None) -> tuple[str, str]:
    if event is not None and not event.weight:
        return "matched", "no failure: knowledge of a login or the like"
    if rule.kinds and kind not in rule.kinds:
        return "off", f"matches, but its kind {kind!r} is off: name it in `kinds`"
    if event is None:
        return "matched", "names no address: counted, never resolved"
    return "matched", ""


def _no_message(rule: Rule) -> str:
    if rule.format == "json":
        return f"no JSON object with the field {rule.fields.get('message', 'message')!r}"
    if rule.format == "cut":
        return "its `content` does not fit the line without its time"
    return f"no syslog line of {', '.join(rule.tags)}"


def _nearest(rule: Rule, reader: Reader, text: bytes) -> Finding:
    best = (0, 0, 0, b"", "", "")
    for compiled in reader.patterns:
        if compiled.body is not None:
            best = max(best, _reach(compiled, text))
    shared, *_, rest, expected, pattern = best
    if shared < _WORTH:
        return Finding(rule.name, "message", "no pattern is like it")
    found = rest.decode("utf-8", "backslashreplace") or "the end of the line"
    wanted = expected if len(expected) <= _SHOWN else f"{expected[:_SHOWN]}…"
    reason = f"expected {wanted or 'the end of the line'} at: {found}"
    return Finding(rule.name, "near", reason, pattern)


def _reach(compiled: Compiled, text: bytes) -> tuple[int, int, int, bytes, str, str]:
    """Return (shared letters, bytes read, brevity, what is left, what was expected, pattern)."""
    body = compiled.body
    parts = body.parts if isinstance(body, Seq) else (body,) if body is not None else ()
    low, high, end = 0, len(parts), 0
    while low < high:  # a longer beginning fits only where a shorter one does
        middle = (low + high + 1) // 2
        match = _beginning(parts[:middle], text)
        if match is None:
            high = middle - 1
        else:
            low, end = middle, match.end()
    shared = sum(isinstance(part, Char) and part.mask != ANY for part in parts[:low])
    expected = "".join(spelt(part) for part in parts[low:])
    pattern = compiled.pattern.match
    return shared, end, -len(pattern), text[end:], expected, pattern


def _beginning(parts: tuple[Node, ...], text: bytes) -> re.Match[bytes] | None:
    return re.match(emit(Seq(parts), silent).encode("latin-1"), text, re.ASCII)


def spelt(node: Node) -> str:
    """Return a part of a pattern as people wrote it, near enough."""
    match node:
        case Group(name, _):
            text = f"<{name}>"
        case Repeat(Char(mask), 0, _) if mask == ANY:
            text = "<*>"
        case Char(mask) if mask.bit_count() == 1:
            text = chr(mask.bit_length() - 1)
        case Seq(parts):
            text = "".join(map(spelt, parts))
        case Alt(options):
            text = "(" + "|".join(map(spelt, options)) + ")"
        case Repeat(inner, 0, 1):
            text = f"[{spelt(inner)}]"
        case _:
            text = emit(node, silent)
    return text
