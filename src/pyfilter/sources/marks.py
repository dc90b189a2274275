# How far a file has been read, told by inode and by what it holds: the token of Position.
import os
from collections.abc import Iterable
from hashlib import blake2b

import msgspec
from msgspec import Struct

HEAD = 256  # bytes of the beginning that tell one file from the next with the same inode
LAST = 64  # bytes before the offset that tell whether it was truncated and grew again


class Mark(Struct, frozen=True, array_like=True):
    """A place in one file, to be found again after restart and rotation."""

    path: str
    dev: int
    ino: int
    offset: int
    head: int  # length of the beginning that head_digest covers
    head_digest: str
    last_digest: str
    skipping: bool = False  # inside a line too long to be kept
    at: int = 0  # when it was read last, in nanoseconds since the epoch


def digest(data: bytes) -> str:
    return blake2b(data, digest_size=8).hexdigest()


def encode(marks: Iterable[Mark]) -> str:
    return msgspec.json.encode(list(marks)).decode()


def decode(token: str) -> tuple[Mark, ...]:
    """Return the marks of a token; none of a token that is not ours."""
    try:
        return msgspec.json.decode(token.encode(), type=tuple[Mark, ...])
    except (msgspec.MsgspecError, UnicodeError):
        return ()


def fits(mark: Mark, fd: int) -> bool:
    """Say whether the file holds up to the mark what it held when the mark was made."""
    if os.fstat(fd).st_size < mark.offset:
        return False
    back = min(LAST, mark.offset)
    return (
        digest(os.pread(fd, mark.head, 0)) == mark.head_digest
        and digest(os.pread(fd, back, mark.offset - back)) == mark.last_digest
    )
