# Raw bytes -> whole lines; overlong ones are left out, so that no line can fill the memory.
MAX_LINE = 65_536  # bytes; a cut line could show a wrong address, so longer ones are dropped whole
BLOCK = 524_288  # bytes; large enough to read at full speed, small enough to let others in


def without_overlong(data: bytes) -> tuple[bytes, int]:
    """Return whole lines less those above MAX_LINE bytes, and how many were left out."""
    kept: list[bytes] = []
    dropped = good = at = 0
    while len(data) - at > MAX_LINE:
        end = data.rfind(b"\n", at, at + MAX_LINE + 1)
        if end >= 0:
            at = end + 1
            continue
        kept.append(data[good:at])
        at = good = data.index(b"\n", at + MAX_LINE) + 1
        dropped += 1
    if not dropped:
        return data, 0
    kept.append(data[good:])
    return b"".join(kept), dropped


class Cutter:
    """Cuts a stream into whole lines and holds the unfinished last one back."""

    def __init__(self, limit: int = MAX_LINE) -> None:
        self._limit = limit
        self._rest = bytearray()
        self._skipping = False
        self.dropped = 0

    def feed(self, chunk: bytes) -> bytes:
        """Return the lines that are whole now."""
        if self._skipping:
            end = chunk.find(b"\n")
            if end < 0:
                return b""
            self._skipping = False
            chunk = chunk[end + 1 :]
        end = chunk.rfind(b"\n") + 1
        whole = bytes(self._rest) + chunk[:end] if end else b""
        if end:
            self._rest.clear()
        self._rest += chunk[end:]
        if len(self._rest) > self._limit:
            self._rest.clear()
            self._skipping = True
            self.dropped += 1
        return whole
