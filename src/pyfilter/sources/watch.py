# What changed: inotify on opened files and on folders, or a look every 250 ms where its limits end.
import asyncio
import os
from collections.abc import Mapping
from contextlib import suppress
from fnmatch import fnmatch
from time import monotonic
from typing import Final

from asyncinotify import Event, Inotify, Mask
from asyncinotify import Watch as Handle
from msgspec import Struct

POLL: Final = 0.25  # seconds between looks without inotify
_FILE = Mask.MODIFY | Mask.CLOSE_WRITE | Mask.ATTRIB | Mask.MOVE_SELF
_SELF = Mask.ONLYDIR | Mask.MOVE_SELF | Mask.DELETE_SELF
_NAMES = _SELF | Mask.CREATE | Mask.MOVED_FROM | Mask.MOVED_TO | Mask.DELETE | Mask.ATTRIB
_WRITTEN = int(Mask.MODIFY)
_CLOSED = int(Mask.CLOSE_WRITE)
_MOVED = int(Mask.MOVE_SELF | Mask.ATTRIB)
_MOVED_FROM = int(Mask.MOVED_FROM)
_MOVED_TO = int(Mask.MOVED_TO)
_GONE = int(Mask.IGNORED | Mask.DELETE_SELF | Mask.MOVE_SELF | Mask.UNMOUNT)
_LOST = int(Mask.Q_OVERFLOW)


class Changes(Struct):
    """What happened since the last look."""

    written: set[int]  # watch numbers of files
    closed: set[int]  # files that a writer let go of
    moved: dict[str, str]  # paths that files were moved to -> the first ones they had meanwhile
    names: bool = False  # files came, went, or may be read now
    everything: bool = False  # look at all, whether or not something changed
    blind: bool = False  # nobody watched: what happened is not known


class Watch:
    """Tells of changes to files and folders; costs nothing while there are none."""

    def __init__(self) -> None:
        self._inotify: Inotify | None = None
        self._files: dict[int, Handle] = {}
        self._folders: dict[str, tuple[Handle, frozenset[str]]] = {}
        self._names: dict[int, frozenset[str]] = {}
        self._short: set[str] = set()  # what could not be watched
        self._looked = 0.0  # monotonic seconds, where nothing tells of changes
        self._left = 0, ""  # cookie and path of the last file that was moved away
        self._open()

    @property
    def polling(self) -> bool:
        return self._inotify is None or bool(self._short)

    def file(self, path: str, fd: int) -> int:
        """Watch an opened file, whatever its name becomes; -1 when it cannot be watched."""
        handle = self._add(path, _FILE, f"/proc/self/fd/{fd}")
        if handle is None:  # no /proc here, or no room
            self._short.add(path)
            return -1
        self._files[handle.wd] = handle
        return handle.wd

    def retry(self) -> None:
        """Believe that there is room again, until an attempt to watch says otherwise."""
        self._short.clear()

    def forget(self, number: int) -> None:
        if handle := self._files.pop(number, None):
            self._remove(handle)

    def folders(self, wanted: Mapping[str, set[str]]) -> bool:
        """Watch these folders for these names; say whether one is watched that was not before."""
        for path in self._folders.keys() - wanted.keys():
            self._drop(path)
        grown = False
        for path, names in wanted.items():
            known = self._folders.get(path)
            if known and known[1] == names:
                continue
            handle = self._add(path, _NAMES if names else _SELF, path)
            if handle is None:
                continue
            self._folders[path] = (handle, frozenset(names))
            self._names[handle.wd] = frozenset(names)
            grown = True
        return grown

    async def changes(self, patience: float | None) -> Changes:
        """Wait for a change, at most `patience` seconds; none in time is a reason to look at all."""
        if self.polling:
            patience = POLL if patience is None else min(POLL, patience)
        changes = Changes(set(), set(), {})
        if self._inotify is None:
            await asyncio.sleep(POLL if patience is None else patience)
            self._open()
            changes.everything = changes.blind = True
            return changes
        try:
            async with asyncio.timeout(patience):
                event: Event | None = await self._inotify.get()
        except TimeoutError:
            changes.everything = True
            changes.blind = self.polling
            event = self._inotify.sync_get()
        return self._sorted(event, changes)

    def changed(self) -> Changes | None:
        """Return what has changed already, for one who has other work."""
        if self.polling and monotonic() < self._looked + POLL:
            return None
        self._looked = monotonic()
        changes = Changes(set(), set(), {}, everything=self.polling, blind=self.polling)
        event = self._inotify.sync_get() if self._inotify is not None else None
        return self._sorted(event, changes) if event or self.polling else None

    def _sorted(self, event: Event | None, changes: Changes) -> Changes:
        """Sort an event and all that have come behind it."""
        while event is not None and self._inotify is not None:
            self._sort(event, changes)
            event = self._inotify.sync_get()
        return changes

    def close(self) -> None:
        if self._inotify is not None:
            self._inotify.close()
            self._inotify = None

    def _open(self) -> None:
        with suppress(OSError):  # EMFILE: polling, and tried again at each look
            self._inotify = Inotify(cache_size=64, sync_timeout=0)

    def _add(self, path: str, mask: Mask, target: str) -> Handle | None:
        if self._inotify is None:
            return None
        try:
            handle = self._inotify.add_watch(target, mask)
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            return None
        except OSError:  # ENOSPC: no watches left
            self._short.add(path)
            return None
        return handle

    def _remove(self, handle: Handle) -> None:
        if self._inotify is not None:
            with suppress(OSError):  # the kernel dropped it together with the file
                self._inotify.rm_watch(handle)

    def _drop(self, path: str) -> None:
        handle, _ = self._folders.pop(path)
        self._names.pop(handle.wd, None)
        self._remove(handle)

    def _sort(self, event: Event, changes: Changes) -> None:
        mask, handle = int(event.mask), event.watch
        number = handle.wd if handle is not None else -1
        if number in self._files:
            changes.names |= bool(mask & _MOVED)
            if mask & _WRITTEN:
                changes.written.add(number)
                changes.closed.discard(number)
            if mask & _CLOSED:
                changes.written.add(number)
                changes.closed.add(number)
        elif mask & _LOST:
            changes.names = changes.everything = changes.blind = True
        elif number in self._names:
            self._sort_folder(number, mask, event, changes)

    def _sort_folder(self, number: int, mask: int, event: Event, changes: Changes) -> None:
        if event.name is None:
            changes.names = True
            if mask & _GONE:
                for path in [p for p, (h, _) in self._folders.items() if h.wd == number]:
                    self._drop(path)
            return
        if any(fnmatch(os.fspath(event.name), name) for name in self._names[number]):
            changes.names = True
        if mask & _MOVED_FROM:
            self._left = event.cookie, os.fspath(event.path or "")
        elif mask & _MOVED_TO and event.cookie == self._left[0]:
            first = changes.moved.pop(self._left[1], self._left[1])
            changes.moved[os.fspath(event.path or "")] = first
