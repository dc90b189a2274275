# Makes log text safe to show anywhere: terminals, log files, JSON and mails.
LONGEST = 1000  # characters; who needs more looks into the log itself


def visible(text: str | bytes, longest: int = LONGEST) -> str:
    r"""Return one line of printable text: what is not shows as `\n`, `\x1b` or `\u202e`.

    That covers control and bidirectional characters, separators but the space, and whatever else
    Unicode calls not printable. Bytes are read as UTF-8, other bytes show as `\xff`. Longer text is
    cut and ends in `…`.
    """
    if isinstance(text, bytes):
        text = text[: longest * 4 + 4].decode("utf-8", "backslashreplace")
    safe = text[: longest + 1]
    if not safe.isprintable():
        safe = "".join(one if one.isprintable() else ascii(one)[1:-1] for one in safe)
    return safe if len(safe) <= longest else f"{safe[: longest - 1]}…"
