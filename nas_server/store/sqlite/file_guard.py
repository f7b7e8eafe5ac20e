"""Whether the file a server has open is still the one under its name.

SQLite goes on with a file that was deleted or replaced, and what is written there is lost
with the process. One that was overwritten in place, as by ``cp``, or has a second name,
breaks. So before and after each write the file is looked at, and nothing is answered that
may not last.

A mark in the file tells it from an older copy. It counts on whenever the log of writes was
worked into the file, and soon after each write, so a copy from before that has another.
"""

import contextlib
import os
import secrets
import sqlite3
from pathlib import Path
from typing import Final

from nas_server.store.base import StoreError
from nas_server.store.sqlite import schema

_SIDES: Final = ("", "-wal", "-shm", ".lock")
_DIGITS: Final = 16
_NOT_OURS: Final = frozenset(
    {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_IOERR_SHORT_READ, sqlite3.SQLITE_NOTADB}
)
"""What SQLite says of pages that are not where they were written."""


class FileChangedError(StoreError):
    """The store's file is not the one that was opened; what would be written there is lost."""

    def __init__(
        self, path: str, what: str, todo: str = "put it back or start nas-server again"
    ) -> None:
        """Say what happened to ``path`` and what is to be done."""
        super().__init__(f"{path} {what} under the running server: {todo}")
        self.told = f"the store's file {what} under the running server"


class FileGuard:
    """Looks after one file and those beside it, in the thread that writes."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        """Mark the file at ``path``, which ``connection`` has open in WAL mode for writing."""
        self._name = str(path)
        self._db = connection
        # What `connection` wrote it reads from memory; this one, after each write, from the files.
        self._reads = schema.connect(path)
        # Open until `close`: to close any handle of the file drops SQLite's locks on it.
        self._handle = os.open(path, os.O_RDONLY)
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
        """Let go of the file, once no other connection to it is open."""
        self._reads.close()
        os.close(self._handle)

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
            if name == self._name and self._count:
                self._check_marks(_look(found))

    def renew(self) -> None:
        """Have another mark if something was written since: a copy from before has the old one.

        To be called now and then, outside of a transaction; FileChangedError.
        """
        if self._count and self._db.total_changes != self._changes:
            with contextlib.suppress(sqlite3.Error):
                self._renew()

    def _check_marks(self, look: tuple[int, int]) -> None:
        try:
            found = self._reads.execute("SELECT mark FROM mark").fetchall()
        except sqlite3.DatabaseError as error:
            if getattr(error, "sqlite_errorcode", 0) not in _NOT_OURS:
                raise
            found = []
        if found != [(self._mark(self._count),)]:
            raise FileChangedError(self._name, "was overwritten with a copy")
        if look == self._look:
            return
        if (in_file := self._found_in_file()) < max(1, self._in_file):
            raise FileChangedError(self._name, "was overwritten with a copy")
        self._look, self._in_file = look, in_file
        if in_file == self._count:
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
