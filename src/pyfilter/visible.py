# Makes log text safe to show anywhere: terminals, log files, JSON and mails.
import re

LONGEST = 1000  # characters; who needs more looks into the log itself

# Control characters, line and paragraph separators, those that turn the writing direction or are
# invisible (Unicode categories Cc, Cf, Zl, Zp) and lone surrogates of bytes that were no text.
_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u0600-\u0605\u061c\u06dd\u070f\u180e\u200b-\u200f\u2028-\u202e"
    "\u2060-\u206f\ud800-\udfff\ufeff\ufff0-\uffff\U000110bd\U000e0000-\U000e0fff]"
)


def visible(text: str | bytes, longest: int = LONGEST) -> str:
    r"""Return one line of printable text: what is not shows as `\n`, `\x1b` or `\u202e`.

    Bytes are read as UTF-8, other bytes show as `\xff`. Longer text is cut and ends in `…`.
    """
    if isinstance(text, bytes):
        text = text[: longest * 4 + 4].decode("utf-8", "backslashreplace")
    safe = _UNSAFE.sub(_escaped, text[: longest + 1])
    return safe if len(safe) <= longest else f"{safe[: longest - 1]}…"


def _escaped(found: re.Match[str]) -> str:
    return ascii(found[0])[1:-1]
