# Which file of a source is read next: each path in its turn, the files of one path in their order.
from collections import deque
from collections.abc import Iterable

from pyfilter.sources.tail import Tail


class Ready:
    """Files in which something waits to be read."""

    def __init__(self) -> None:
        self._paths: dict[str, deque[Tail]] = {}
        self._waiting: set[Tail] = set()
        self._served = ""  # the path that had its turn: all others that wait come before it

    def add(self, tails: Iterable[Tail]) -> None:
        """Put files in line, each once and behind those of its path."""
        for tail in tails:
            if tail not in self._waiting:
                self._paths.setdefault(tail.path, deque()).append(tail)
                self._waiting.add(tail)

    def __bool__(self) -> bool:
        return bool(self._paths)

    def take(self) -> Tail:
        """Take the next file out of the line."""
        if self._served in self._paths:
            self._paths[self._served] = self._paths.pop(self._served)
        self._served, line = next(iter(self._paths.items()))
        tail = line.popleft()
        self._waiting.remove(tail)
        if not line:
            del self._paths[self._served]
        return tail

    def put_back(self, *tails: Tail) -> None:
        """Let files that were taken, or what stands for them, be the first of their path."""
        fresh = [tail for tail in tails if tail not in self._waiting]
        self._paths.setdefault(self._served, deque()).extendleft(reversed(fresh))
        self._waiting.update(fresh)
