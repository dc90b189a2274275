# fail2ban: one of its expressions as a pattern: `<HOST>` and its like become groups that have a name.
import re

from pyfilter.errors import RefusedError
from pyfilter.matching.cutting import foreign
from pyfilter.matching.rule import Found, Pattern

_IP4 = r"(?:::fffff?f?:)?(?P<ip4>\d{1,3}(?:\.\d{1,3}){3})"
_IP6 = r"(?P<ip6>(?:[0-9A-Fa-f]{0,4}:){2,8}[0-9A-Fa-f]{0,4})"
_DNS = r"(?P<dns>(?:[.^-]*\w)+)"
_ADDR = rf"\[?(?:{_IP4}|{_IP6})\]?"
_TAGS = {
    "<IP4>": _IP4,
    "<IP6>": _IP6,
    "<DNS>": _DNS,
    "<ADDR>": _ADDR,
    "<HOST>": rf"(?:{_ADDR}|{_DNS})",
    "<CIDR>": r"(?P<cidr>\d+)",
    "<SUBNET>": rf"\[?(?:{_IP4}|{_IP6})(?:/(?P<cidr>\d+))?\]?",
}
_KNOWN = re.compile("|".join(_TAGS))
_FIELD = re.compile(r"<(/?)F-([A-Z0-9_]+)(/?)>")
_NAMES = {"id": "fid"}
_WITHOUT_CONTENT = {"port": r"\w+", "fid": r"\S+"}
_ADDRESS = {"ip4", "ip6"}
_NAME = {"dns", "host"}
_FLAG = re.compile(r"\(\?[ims]+\)")
_CLASS = re.compile(r"\[\^?\]?(?:\\.|[^\]\\])*\]", re.DOTALL)
_LINE_BREAK = re.compile(r"(?<!\\)(?:\\\\)*\\n|\n")


class UnsuitedError(RefusedError):
    """The expression has no like among patterns; the text says why."""


def pattern(
    text: str, *, content: bool = False, elsewhere: bool = False, hosts: bool = True
) -> Pattern:
    """Return what an expression finds. Raises UnsuitedError with the reason where nothing is like it.

    `content` is a prefregex; `elsewhere`: such a one finds the address. Without `hosts` a <HOST> is
    an address and never a name.
    """
    written = expanded(text if hosts else text.replace("<HOST>", "<ADDR>"))
    compiled = _compiled(written)
    names = compiled.groupindex
    if "fid" in names:
        raise UnsuitedError("it bans something else than an address (<F-ID>)")
    if "cidr" in names:
        raise UnsuitedError("it bans networks that a line names (<SUBNET> or <CIDR>)")
    if "mlfgained" in names:
        raise UnsuitedError("it is a failure only together with other lines (<F-MLFGAINED>)")
    found = bool(names.keys() & (_ADDRESS | _NAME))
    if content and "nofail" in names:
        raise UnsuitedError("its <F-NOFAIL> stands in the prefregex")
    if not (content or found or elsewhere or "nofail" in names):
        raise UnsuitedError("it has no address of its own")
    by_number = {number: name for name, number in names.items()}
    groups = tuple(_group(by_number.get(n, "")) for n in range(1, compiled.groups + 1))
    return Pattern(written, groups=groups)


def expanded(text: str) -> str:
    """Return an expression of Python alone. Raises UnsuitedError."""
    if "<SKIPLINES>" in text or _LINE_BREAK.search(_CLASS.sub("", text)):
        raise UnsuitedError("it reads several lines at once")
    text = _KNOWN.sub(lambda match: _TAGS[match[0]], text)
    text = _FIELD.sub(_field, text)
    flags = dict.fromkeys(_FLAG.findall(text))
    return "".join(flags) + _FLAG.sub("", text)  # they hold for the whole, wherever they stand


def _field(match: re.Match[str]) -> str:
    closes, field, empty = match.groups()
    if closes:
        return ")"
    name = _NAMES.get(field.lower(), field.lower())
    if not empty:
        return f"(?P<{name}>"
    if name not in _WITHOUT_CONTENT:
        raise UnsuitedError(f"{match[0]} is not known")
    return f"(?P<{name}>{_WITHOUT_CONTENT[name]})"


def _compiled(text: str) -> re.Pattern[bytes]:
    try:
        compiled = foreign(text)
    except (re.error, ValueError, OverflowError, RecursionError) as error:
        raise UnsuitedError(f"it is no regular expression: {error}") from None
    if any(not found.isascii() for found in _CLASS.findall(text)):
        raise UnsuitedError("it has letters beyond ASCII in […]")
    return compiled


def _group(name: str) -> Found:
    if name in _ADDRESS:
        return "ip"
    if name in _NAME:
        return "host"
    if re.fullmatch(r"user|alt_user\d*", name):
        return "user"
    if name == "nofail":
        return "nothing"
    return "content" if name == "content" else ""
