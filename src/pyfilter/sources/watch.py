# What changed: inotify on opened files and on folders, or a look every 250 ms where its limits end.
import asyncio
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from fnmatch import fnmatch
from pathlib import Path
from time import monotonic
from typing import Final

from asyncinotify import Inotify, Mask
from asyncinotify import Watch as Handle
from msgspec import Struct

from pyfilter.sources.notices import Notice, Notices, taken

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
        came = await self._notices.next(patience)
        if not came:
            changes.everything = True
            changes.blind = self.polling
        return self._sorted(came, changes)

    def changed(self) -> Changes | None:
        """Return what has changed already, for one who has other work."""
        if self.polling and monotonic() < self._looked + POLL:
            return None
        self._looked = monotonic()
        changes = Changes(set(), set(), {}, everything=self.polling, blind=self.polling)
        came = taken(self._inotify.fd) if self._inotify is not None else []
        return self._sorted(came, changes) if came or self.polling else None

    def _sorted(self, came: Iterable[Notice], changes: Changes) -> Changes:
        for notice in came:
            self._sort(notice, changes)
        return changes

    def close(self) -> None:
        if self._inotify is not None:
            self._notices.rest()
            self._inotify.close()
            self._inotify = None

    def _open(self) -> None:
        with suppress(OSError):  # EMFILE: polling, and tried again at each look
            self._inotify = Inotify()
            os.set_blocking(self._inotify.fd, False)  # asyncinotify leaves it blocking
            self._notices = Notices(self._inotify.fd)

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

    def _sort(self, notice: Notice, changes: Changes) -> None:
        number, mask, _, _ = notice
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
            self._sort_folder(notice, changes)

    def _sort_folder(self, notice: Notice, changes: Changes) -> None:
        number, mask, cookie, name = notice[0], notice[1], notice[2], os.fsdecode(notice[3])
        folders = [path for path, (handle, _) in self._folders.items() if handle.wd == number]
        if not name:
            changes.names = True
            if mask & _GONE:
                for path in folders:
                    self._drop(path)
            return
        if any(fnmatch(name, wanted) for wanted in self._names[number]):
            changes.names = True
        path = str(Path(folders[0], name)) if folders else ""
        if mask & _MOVED_FROM:
            self._left = cookie, path
        elif mask & _MOVED_TO and cookie == self._left[0]:
            first = changes.moved.pop(self._left[1], self._left[1])
            changes.moved[path] = first
