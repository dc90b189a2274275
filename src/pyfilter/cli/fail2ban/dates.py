# fail2ban: a `datepattern` as the expressions by which the time is cut out of a line.
import re

from pyfilter.cli.fail2ban.expressions import UnsuitedError

_EDGE = r"(?!(?<=\w)\w)"  # not within a word
_START = r"^\W{0,2}"
_NONE = "(?P<time>(?!))"  # never fits: nothing is cut
_SPECIAL = {
    "": "<time>",
    "{DEFAULT}": "<time>",
    "{DATE}": "<time>",
    "{^LN-BEG}": f"{_START}<time>",
    "{^LN-BEG}{DEFAULT}": f"{_START}<time>",
    "^{DATE}": "^<time>",
    "{NONE}": _NONE,
}
_EPOCH = r"\d{10,11}(?:\.\d{3,6})?"
_WORDS = {
    "epoch": rf"(?:^|(?<=^\[)|(?<=audit\()){_EPOCH}",
    "lepoch": r"\d{10,16}(?:\.\d{1,6})?",
    "tai64n": "@[0-9a-f]{24}",
    "iso8601": r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:\s*(?:Z|UTC|[+-]\d\d:?\d\d))?",
}
_CODES = {
    "Y": r"\d{4}", "y": r"\d\d", "m": r"\d{1,2}", "d": r"(?:\d{1,2}| \d)", "H": r"\d{1,2}",
    "I": r"\d{1,2}", "k": r"(?:\d{1,2}| \d)", "l": r"(?:\d{1,2}| \d)", "M": r"\d{1,2}",
    "S": r"\d{1,2}", "f": r"\d{1,6}", "p": r"[AaPp][Mm]", "a": "[A-Za-z]{3}", "A": "[A-Za-z]{6,9}",
    "b": "[A-Za-z]{3}", "B": "[A-Za-z]{3,9}", "j": r"\d{1,3}", "s": _EPOCH, "w": r"\d",
    "z": r"(?:Z|UTC|GMT|[+-]\d\d(?::?\d\d)?)", "Z": "[A-Z]{3,5}", "%": "%",
    "ExY": r"\d{4}", "Exy": r"\d\d", "Exm": r"\d\d", "Exd": r"(?:\d\d| \d)", "ExH": r"\d\d",
    "ExM": r"\d\d", "ExS": r"\d\d", "Exz": r"(?:Z|UTC|GMT|[+-]\d\d(?::?\d\d)?)",
    "ExZ": "(?:[A-Z]{3,5}|[+-]\\d\\d:?\\d\\d)",
}  # fmt: skip
_CODE = re.compile(r"%(Ex[A-Za-z]|[A-Za-z%])")
_PLAIN_GROUP = re.compile(r"(?<!\\)((?:\\\\)*)\((?!\?)")


def stamps(datepattern: str) -> tuple[str, ...]:
    """Return the expressions of the places where the time stands, () for anywhere.

    Raises UnsuitedError for what cannot be said so.
    """
    found = tuple(_stamp(line.strip()) for line in datepattern.split("\n") if line.strip())
    return () if found == ("<time>",) else found


def _stamp(text: str) -> str:
    if text.upper() in _SPECIAL:
        return _SPECIAL[text.upper()]
    body, before = text, _EDGE
    if body.startswith("{^LN-BEG}"):
        body, before = body.removeprefix("{^LN-BEG}"), _START
    elif body.startswith("^"):
        body, before = body.removeprefix("^"), "^"
    after = "" if body.endswith("**") or "{UNB}" in body else _EDGE
    if not after and before == _EDGE:
        before = ""
    body = body.removesuffix("**").replace("{UNB}", "")
    body = _WORDS.get(body.lower()) or _coded(body)
    grouped = _PLAIN_GROUP.search(body)
    if grouped:
        body = _PLAIN_GROUP.sub(r"\1(?P<time>", body, count=1)
    body = body.replace("{DATE}", "<time>").replace("(?P<time><time>)", "<time>")
    if grouped is None:
        body = f"(?P<time>{body})" if before == _START else body
    if grouped is not None or "(?P<time>" in body:
        return f"{before}{body}{after}"
    return f"(?P<time>{before}{body}){after}"


def _coded(text: str) -> str:
    def code(match: re.Match[str]) -> str:
        if match[1] not in _CODES:
            raise UnsuitedError(f"its datepattern has %{match[1]}, which is not known")
        return _CODES[match[1]]

    text = text.replace(r"\{DATE\}", "{DATE}")
    if any(word in text for word in ("{EPOCH}", "{LEPOCH}", "{TAI64N}", "{NONE}", "{DEFAULT}")):
        raise UnsuitedError(f"its datepattern {text!r} is not known")
    return _CODE.sub(code, text)
