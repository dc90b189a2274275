# Matching: what one line means to one rule, by Python `re` alone. This is the reference: scanner and
# fast paths may only be quicker, never different.
import re
from collections.abc import Callable, Collection, Mapping
from functools import cached_property
from types import MappingProxyType
from typing import NamedTuple

import msgspec

from pyfilter.addresses import address
from pyfilter.errors import AddressError, RuleError
from pyfilter.matching.budget import Budget
from pyfilter.matching.cutting import Cut, Cutter, searched
from pyfilter.matching.emit import emit, silent
from pyfilter.matching.header import Header, compile_header, read_header, tag_texts, unrepeated
from pyfilter.matching.pattern import Compiled, compile_pattern, outline, whole
from pyfilter.matching.rule import Pattern, Rule
from pyfilter.matching.syntax import ExpressionError

_LONGEST_SEARCHED = 2048  # bytes of a line that a user's own unanchored expression is tried on
_BREAKS = re.compile(rb"[\r\n]+")


class Message(NamedTuple):
    """The part of a line that patterns describe, and what stands around it."""

    text: bytes
    stamp: bytes = b""
    pid: bytes = b""
    repeats: int = 1
    fields: Mapping[str, bytes] = MappingProxyType({})


class Hit(NamedTuple):
    """A pattern that a line fits, with what it captured."""

    pattern: Pattern
    address: bytes
    stamp: bytes
    user: bytes
    pid: bytes
    port: bytes
    repeats: int
    number: int  # of the pattern in its reader


class Reader:
    """Reads lines for one rule."""

    def __init__(self, rule: Rule, kinds: Collection[str] = ()) -> None:
        """Read the rule's patterns of these kinds (none: the rule's own choice).

        Patterns of weight 0 are always read: they are knowledge, not failures. Raises RuleError.
        """
        self.rule = rule
        wanted = kinds or rule.kinds or {pattern.kind for pattern in rule.patterns}
        self.chosen = tuple(
            pattern for pattern in rule.patterns if pattern.kind in wanted or pattern.weight == 0
        )
        self._compiled: list[Compiled | None] = [None] * len(self.chosen)
        self._cutter = Cutter(rule) if rule.format == "cut" else None
        self._budget = Budget()
        self._content = compile_pattern(rule, rule.content, checked=False) if rule.content else None

    @cached_property
    def header(self) -> re.Pattern[bytes] | None:
        """What stands before every message, of a line or a JSON object before some; when needed."""
        return compile_header(self.rule.tags, self.rule.journal) if self.rule.tags else None

    def head(self, line: bytes) -> Header | None:
        """Return what a line says before its message, None if it has no header of this rule."""
        if self.header_texts and not any(text in line for text in self.header_texts):
            return None  # sooner said than by the expression, which may take long to compile
        return read_header(self.header, line) if self.header else None

    @cached_property
    def header_texts(self) -> tuple[bytes, ...]:
        """Texts of which each header holds one; none if there are none."""
        return tag_texts(self.rule.tags, self.rule.journal)

    @cached_property
    def _ignore(self) -> tuple[Callable[[bytes], object], ...]:
        return tuple(_compile_ignore(self.rule, text) for text in self.rule.ignore)

    def check_ignore(self) -> None:
        """Check what the rule ignores. Raises RuleError."""
        for text in self.rule.ignore:
            _compile_ignore(self.rule, text)

    def prepare(self) -> None:
        """Check every pattern, also for what lines could make it slow. Raises RuleError."""
        for pattern in (*self.chosen, *([self.rule.content] if self.rule.content else ())):
            compile_pattern(self.rule, pattern)
        self.check_ignore()

    @property
    def patterns(self) -> tuple[Compiled, ...]:
        """All patterns that are on, compiled. Raises RuleError."""
        return tuple(self.compiled(index) for index in range(len(self.chosen)))

    def compiled(self, index: int) -> Compiled:
        """Return a pattern that is on, ready for use. Raises RuleError."""
        found = self._compiled[index]
        if found is None:
            found = self._compiled[index] = compile_pattern(
                self.rule, self.chosen[index], checked=False
            )
        return found

    def hit(self, line: bytes, among: int = -1) -> Hit | None:
        """Return what a line (without its newline) means to this rule, None if nothing.

        `among` are the patterns that can fit, by bit; all of them, if the caller does not know.
        """
        message = self.message(line)
        if message is None or any(fits(message.text) for fits in self._ignore):
            return None
        for index in range(len(self.chosen)):
            if among >> index & 1:
                compiled = self.compiled(index)
                found = self._captured(compiled, message)
                if found is not None:
                    quiet = found.get("nothing")
                    return None if quiet else self._made(compiled, message, found, index)
        if line.endswith(b" "):  # some programs and copies of logs leave one behind
            return self.hit(line.rstrip(b" "), among)
        return None

    def message(self, line: bytes) -> Message | None:
        """Return what patterns are held against, None when the line is not this rule's at all."""
        line = line.removesuffix(b"\r")
        if self._cutter is not None:
            return self._dateless(self._cutter.cut(line))
        header = self.head(line)
        if header:
            text, repeats = unrepeated(line[header.end :])
            message = Message(text, header.stamp, header.pid, repeats)
        elif self.rule.format == "syslog":
            return None
        else:
            message = Message(line)
        return self._from_json(message) if self.rule.format == "json" else message

    def _dateless(self, line: Cut) -> Message | None:
        if self._content is None:
            return Message(line.text, line.stamp)
        found = self._captured(self._content, Message(line.text))
        if found is None:
            return None
        return Message(found.pop("content", line.text), line.stamp, fields=found)

    def outline(self, line: bytes, index: int) -> tuple[str, ...]:
        """Return a line's message with the captures of a pattern taken out, () if it cannot be."""
        message = self.message(line)
        if message is None or message.repeats != 1:
            return ()
        match = self.compiled(index).regex.fullmatch(message.text)
        return outline(match) if match else ()

    def _captured(self, compiled: Compiled, message: Message) -> dict[str, bytes] | None:
        pattern, text = compiled.pattern, message.text
        if not pattern.groups:
            match = compiled.regex.fullmatch(text)
            return match.groupdict(b"") if match else None
        search = self._budget.search if pattern.slow else re.Pattern.search
        match = search(compiled.regex, text[:_LONGEST_SEARCHED])
        if not match:
            return None
        found: dict[str, bytes] = {}
        for name, value in zip(compiled.names, match.groups(b""), strict=True):
            either = "ip" if "ip" not in found and _is_address(value) else "time"
            key = either if name == "either" else name
            found[key] = found.get(key) or value
        if "status" not in found or not self.rule.statuses:
            return found
        return found if found["status"].decode("latin-1") in self.rule.statuses else None

    def _made(
        self, compiled: Compiled, message: Message, found: dict[str, bytes], index: int
    ) -> Hit:
        def value(name: str, otherwise: bytes = b"") -> bytes:
            return found.get(name) or message.fields.get(name, otherwise)

        return Hit(
            compiled.pattern,
            value("ip") or value("host"),
            value("time", message.stamp),
            value("user"),
            value("pid", message.pid),
            value("port"),
            message.repeats,
            index,
        )

    def _from_json(self, message: Message) -> Message | None:
        """Return what the fields of an object say; text that is no object is itself the message."""
        try:
            table = msgspec.json.decode(message.text)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return message
        if not isinstance(table, dict):
            return message
        names = {"message": "message", **self.rule.fields}
        fields = {key: _field(table, name) for key, name in names.items() if key != "message"}
        text = b" ".join(_text(_dig(table, name)) for name in names["message"].split())
        return message._replace(text=text, fields=fields) if text else None


def _is_address(raw: bytes) -> bool:
    try:
        address(raw.decode("latin-1"))
    except AddressError:
        return False
    return True


def _field(table: object, names: str) -> bytes:
    """Return the first of several fields (parted by spaces in `names`) that says something."""
    return next(filter(None, (_text(_dig(table, name)) for name in names.split())), b"")


def _dig(value: object, path: str) -> object:
    for key in path.split("."):
        if isinstance(value, list) and key.isdigit() and int(key) < len(value):
            value = value[int(key)]
        elif isinstance(value, dict):
            value = value.get(key)
        else:
            return None
    return value


def _text(value: object) -> bytes:
    if value is None or isinstance(value, dict):
        return b""
    if isinstance(value, list):
        value = value[0] if value else ""
    text = value if isinstance(value, str) else str(value)
    return _BREAKS.sub(b" ", text.encode("utf-8", "surrogatepass"))


def _compile_ignore(rule: Rule, text: str) -> Callable[[bytes], object]:
    if rule.format == "cut":
        return searched(rule, text).search
    try:
        return re.compile(emit(whole(text), silent).encode("latin-1"), re.ASCII).fullmatch
    except (ExpressionError, re.error, ValueError) as error:
        raise RuleError(f"rule {rule.name}: ignore {text!r}: {error}") from None
