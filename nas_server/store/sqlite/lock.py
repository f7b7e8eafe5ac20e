"""One serving process per SQLite file."""

import fcntl
import os
from pathlib import Path

from nas_server.store.base import StoreError


class FileLock:
    """A lock beside the file, held until `release` or the end of the process.

    It stands in a file of its own: closing any handle of an SQLite file drops the locks
    that SQLite itself holds on it.
    """

    def __init__(self, path: Path) -> None:
        """Take the lock of ``path``; StoreError when another process holds it."""
        lock_path = path.with_name(f"{path.name}.lock")
        try:
            self._handle = os.open(lock_path, os.O_CREAT | os.O_RDWR, 0o600)
        except OSError as error:
            raise StoreError(f"cannot open {lock_path}: {error.strerror}") from None
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.read(self._handle, 20).decode("ascii", "replace").strip()
            self.release()
            raise StoreError(
                f"{path} is in use by another nas-server (process {holder or 'unknown'}); "
                "stop it first, or name another file"
            ) from None
        os.ftruncate(self._handle, 0)
        os.pwrite(self._handle, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Let go of the lock; the file stays, so that nobody locks one that is unlinked."""
        os.close(self._handle)
