# Log files by inotify: paths and globs -> Block, across rotation, truncation and restart.
from collections.abc import AsyncGenerator

from msgspec import Struct

from pyfilter.errors import SourceError
from pyfilter.interfaces import Clock, Source, Stamp
from pyfilter.model import Block, Position, SourceState
from pyfilter.sources.marks import decode, encode
from pyfilter.sources.open_files import OpenFiles
from pyfilter.sources.pace import Pace
from pyfilter.sources.ready import Ready
from pyfilter.sources.tail import Piece
from pyfilter.sources.watch import Watch


class Files(Struct, frozen=True, tag="files", tag_field="type", forbid_unknown_fields=True):
    """Paths and globs of log files."""

    paths: tuple[str, ...]

    def open(self, stamp: Stamp, clock: Clock) -> Source:
        return FileSource(self.paths, stamp, clock)


class FileSource:
    """Yields the lines of files as they are written."""

    def __init__(self, paths: tuple[str, ...], stamp: Stamp, clock: Clock, name: str = "") -> None:
        self.name = name or " ".join(paths)
        self._stamp = stamp
        self._clock = clock
        self._open = OpenFiles(paths, stamp)
        self._pace = Pace()
        self._polling = False
        self._lines = self._dropped = 0
        self._last = b""
        self._last_at: float | None = None

    async def blocks(self, resume: Position | None, since: float) -> AsyncGenerator[Block, None]:
        watch, ready = Watch(), Ready()
        marks = decode(resume.token) if resume else ()
        try:
            ready.add(self._open.begin(watch, marks, since))
            while True:
                while ready:
                    self._pace.start()
                    piece = self._take(ready)
                    if piece is not None and piece.data:
                        lines = self._lines
                        yield self._block(piece)
                        await self._pace.rest(len(piece.data), self._lines - lines)
                    elif piece is not None and piece.more:
                        await self._pace.rest(self._pace.portion, 0)
                    if ready and (changes := watch.changed()):  # others have their turn, too
                        ready.add(self._open.follow(changes))
                self._polling = watch.polling
                ready.add(self._open.follow(await watch.changes(self._open.patience())))
        except OSError as error:
            raise SourceError(f"{self.name} cannot be followed: {error}") from error
        finally:
            self._open.close()
            watch.close()

    def position(self) -> Position | None:
        marks = list(self._open.marks())
        return Position(self.name, encode(marks)) if marks else None

    def state(self) -> SourceState:
        state, detail = self._open.state()
        if self._polling:
            detail = "; ".join(
                filter(None, ["polling every 250 ms: inotify limits reached", detail])
            )
        if self._dropped:
            detail = "; ".join(filter(None, [detail, f"{self._dropped} overlong lines left out"]))
        return SourceState(
            source=self.name,
            state=state,
            detail=detail,
            lines=self._lines,
            last_line=self._last_line(),
            lag=self._open.lag(),
        )

    def _take(self, ready: Ready) -> Piece | None:
        """Take from the first file; put it back in line when it has more."""
        tail = ready.take()
        if tail.fd < 0:
            return None
        try:
            missed = self._open.missed(tail)
            piece = None if missed else tail.take(self._pace.portion)
        except OSError as error:
            self._open.failed(tail, error)
            return None
        if piece is None:
            ready.put_back(*(missed or self._open.rewritten(tail)), tail)
            return None
        self._dropped += piece.dropped
        if piece.more:
            ready.put_back(tail)
        return piece

    def _block(self, piece: Piece) -> Block:
        block = Block(self.name, piece.data, self._clock(), piece.live, piece.again)
        self._lines += piece.data.count(b"\n")
        self._last_at = block.read_at
        start = piece.data.rfind(b"\n", 0, -1) + 1
        self._last = b"" if piece.live else piece.data[start:-1]
        return block

    def _last_line(self) -> float | None:
        time = self._stamp(self._last) if self._last else None
        return self._last_at if time is None else time
