# Matching: compiled scan plans kept on disk, so that a start does not compile what an earlier one did.
import hashlib
import os
import platform
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import hyperscan as hs
import msgspec

from pyfilter.matching.reading import Reader
from pyfilter.matching.scanner import Plan, Scanner, plan

_FORM = 9  # of the file; raise it when probes or plans change
_DIGEST = 32


def scanner(readers: Sequence[Reader], folder: Path | None) -> Scanner:
    """Return the scanner of some readers, from a cache folder if that has it.

    A file that cannot be read or is not what was written is made anew; one that cannot be written
    costs only time at the next start. Raises RuleError when a pattern is wrong.
    """
    path = folder / f"{_key(readers)}.scan" if folder else None
    kept = _read(path) if path else None
    if kept:
        try:
            return Scanner(kept)
        except hs.error:
            pass  # made by another version or processor
    made = plan(readers)
    if path:
        _write(path, made)
    return Scanner(made)


def _key(readers: Sequence[Reader]) -> str:
    said = [
        (rule.format, rule.fields.get("message", ""), rule.ignore, rule.broken, one.chosen)
        for one in readers
        for rule in (one.rule,)
    ]
    engine = f"{_FORM} {hs.Database().__class__.__module__} {_version()} {platform.machine()}"
    return hashlib.sha256(engine.encode() + msgspec.json.encode(said)).hexdigest()


def _version() -> str:
    return str(getattr(hs, "__version__", ""))


def _read(path: Path) -> Plan | None:
    try:
        data = path.read_bytes()
    except OSError:
        return None
    if hashlib.sha256(data[_DIGEST:]).digest() != data[:_DIGEST]:
        return None
    try:
        return msgspec.msgpack.decode(data[_DIGEST:], type=Plan)
    except msgspec.DecodeError:
        return None


def _write(path: Path, made: Plan) -> None:
    data = msgspec.msgpack.encode(made)
    fresh = path.with_suffix(f".{os.getpid()}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh.write_bytes(hashlib.sha256(data).digest() + data)
        fresh.replace(path)
    except OSError:
        with suppress(OSError):
            fresh.unlink(missing_ok=True)
