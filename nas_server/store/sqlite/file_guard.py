"""Whether the file a server has open is still the one under its name.

SQLite goes on with a file that was deleted or replaced, and what is written there is lost
with the process. One that was overwritten in place, as by ``cp``, or has a second name,
breaks. So before and after each write the file is looked at, and nothing is answered that
may not last. The log of writes beside it must hold all that its index says: where it was cut,
the next write leaves a hole, and the whole log is lost with the process.

A mark in the file tells it from an older copy. It counts on whenever the log of writes was
worked into the file, and soon after each write, so a copy from before that has another.
"""

import contextlib
import os
import secrets
import sqlite3
import struct
from pathlib import Path
from typing import Final

from nas_server.store.base import StoreError

MEANWHILE: Final = "under the running server"
_SIDES: Final = ("", "-wal", "-shm", ".lock")
_DIGITS: Final = 16
# SQLite's file format: of the index of the log the size of a page, how many frames, the salt.
_INDEX: Final = struct.Struct("=14xHI12x8s")
_LOG_HEAD, _FRAME_HEAD, _SALT_AT = 32, 24, 16


class FileChangedError(StoreError):
    """The store's file is not the one that was opened; what would be written there is lost."""

    def __init__(
        self, path: str, what: str, todo: str = "put it back or start nas-server again"
    ) -> None:
        """Say what happened to ``path`` and what is to be done."""
        super().__init__(f"{path} {what} {MEANWHILE}: {todo}")
        self.told = f"the store's file {what} {MEANWHILE}"


class FileGuard:
    """Looks after one file and those beside it, in the thread that writes."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        """Mark the file at ``path``, which ``connection`` has open in WAL mode for writing."""
        self._name = str(path)
        self._db = connection
        # Open until `close`: to close any handle of a file drops SQLite's locks on it.
        self._handle, self._log, self._index = (
            os.open(f"{path}{side}", os.O_RDONLY) for side in ("", "-wal", "-shm")
        )
        self._session = secrets.token_hex(16)
        self._count, self._in_file = 0, 0  # which mark there is, with the log and without; 0: none
        self._changes = 0
        with contextlib.suppress(sqlite3.OperationalError):  # full: fires go on all the same
            connection.execute("INSERT OR REPLACE INTO mark VALUES (1, ?)", (self._mark(1),))
            self._count, self._changes = 1, connection.total_changes
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        sides = [Path(f"{path}{side}") for side in _SIDES]
        self._known = {str(each): _identity(each.stat()) for each in sides if each.exists()}
        self._look = _look(path.stat())
        self._in_file = self._found_in_file()

    def close(self) -> None:
        """Let go of the file, once no connection to it is open."""
        for handle in (self._handle, self._log, self._index):
            os.close(handle)

    def check(self) -> None:
        """Raise FileChangedError when the file is not what it was, in words for a person."""
        for name, known in self._known.items():
            try:
                found = os.lstat(name)  # a link is not the file that was opened
            except OSError:
                raise FileChangedError(name, "was deleted or moved") from None
            if _identity(found) != known:
                raise FileChangedError(name, "was replaced by another")
            if found.st_nlink != 1:
                raise FileChangedError(name, "has a second name (a hard link)", "remove that name")
            if name == self._name:
                self._check_log()
                if self._count:
                    self._check_marks(_look(found))

    def renew(self) -> None:
        """Have another mark if something was written since: a copy from before has the old one.

        To be called now and then, outside of a transaction; FileChangedError.
        """
        if self._count and self._db.total_changes != self._changes:
            with contextlib.suppress(sqlite3.Error):
                self._renew()

    def _check_log(self) -> None:
        index = os.pread(self._index, _INDEX.size, 0)
        page, frames, salt = _INDEX.unpack(index)
        size = _LOG_HEAD + frames * (_FRAME_HEAD + page)
        if not frames or (
            os.fstat(self._log).st_size >= size and os.pread(self._log, len(salt), _SALT_AT) == salt
        ):
            return
        if os.pread(self._index, _INDEX.size, 0) == index:  # else another process began it anew
            raise FileChangedError(f"{self._name}-wal", "was cut short or overwritten")

    def _check_marks(self, look: tuple[int, int]) -> None:
        if self._db.execute("SELECT mark FROM mark").fetchone() != (self._mark(self._count),):
            raise FileChangedError(self._name, "was overwritten with a copy")
        if look == self._look:
            return
        if (found := self._found_in_file()) < max(1, self._in_file):
            raise FileChangedError(self._name, "was overwritten with a copy")
        self._look, self._in_file = look, found
        if found == self._count:
            with contextlib.suppress(sqlite3.Error):
                self._renew()

    def _renew(self) -> None:
        old, new = self._mark(self._count), self._mark(self._count + 1)
        if self._db.execute("UPDATE mark SET mark = ? WHERE mark = ?", (new, old)).rowcount != 1:
            raise FileChangedError(self._name, "was overwritten with a copy")
        self._count += 1
        self._changes = self._db.total_changes

    def _mark(self, count: int) -> str:
        return f"{self._session}{count:0{_DIGITS}x}"

    def _found_in_file(self) -> int:
        """Return which mark the file itself has, without the log; 0 for one that is not ours."""
        (size,) = self._db.execute("PRAGMA page_size").fetchone()
        query = "SELECT rootpage FROM sqlite_schema WHERE name = 'mark'"
        root = self._db.execute(query).fetchone()
        page = b"" if root is None else os.pread(self._handle, size, (root[0] - 1) * size)
        after = [part[:_DIGITS] for part in page.split(self._session.encode())[1:]]
        return max((int(part, 16) for part in after), default=0)


def _look(found: os.stat_result) -> tuple[int, int]:
    return found.st_mtime_ns, found.st_size


def _identity(found: os.stat_result) -> tuple[int, int]:
    return found.st_dev, found.st_ino
