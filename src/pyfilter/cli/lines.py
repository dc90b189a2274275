# Lines of a log for the commands that need no daemon: from files, .gz files or standard input.
import gzip
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from pyfilter.errors import SettingsError
from pyfilter.sources.lines import MAX_LINE

_GZIP = b"\x1f\x8b"


@contextmanager
def opened(name: str) -> Iterator[BinaryIO]:
    """Open a file, compressed or not, or standard input for `-`; raises SettingsError."""
    if name == "-":
        yield sys.stdin.buffer
        return
    try:
        with Path(name).open("rb") as raw:
            if raw.peek(2)[:2] == _GZIP:
                with gzip.open(raw) as plain:
                    yield cast("BinaryIO", plain)
            else:
                yield raw
    except (OSError, EOFError) as error:
        raise SettingsError(f"{name}: cannot be read: {error}") from None


def lines(stream: BinaryIO) -> Iterator[bytes]:
    """Yield each line without its newline; one too long for the daemon is empty here too."""
    while part := stream.readline(MAX_LINE + 1):
        if part.endswith(b"\n"):
            yield part[:-1]
        elif len(part) <= MAX_LINE:
            yield part
        else:
            while part and not part.endswith(b"\n"):
                part = stream.readline(MAX_LINE)
            yield b""
