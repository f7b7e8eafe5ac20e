"""One serving process per SQLite file."""

import contextlib
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
        lock_path = _beside(path)
        try:
            self._handle = os.open(lock_path, os.O_CREAT | os.O_RDWR, 0o600)
        except OSError as error:
            raise StoreError(f"cannot open {lock_path}: {error.strerror}") from None
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder, _, _ = os.read(self._handle, 20).decode("ascii", "replace").partition("\n")
            os.close(self._handle)
            raise StoreError(
                f"{path} is in use by another nas-server (process {holder or 'unknown'}); "
                "stop it first, or name another file"
            ) from None
        self.tell("")

    def tell(self, error: str) -> None:
        """Have other processes know why nothing is armed; empty: all is."""
        with contextlib.suppress(OSError):  # where even that finds no room, the reserve tells
            os.ftruncate(
                self._handle, os.pwrite(self._handle, f"{os.getpid()}\n{error}".encode(), 0)
            )

    def release(self) -> None:
        """Let go of the lock; the file stays, so that nobody locks one that is unlinked."""
        self.tell("")
        os.close(self._handle)


def told(path: Path) -> str:
    """Return why the process that has the lock of ``path`` arms nothing; empty: it does."""
    error = ""
    with contextlib.suppress(OSError), _beside(path).open(encoding="utf-8") as file:
        error = file.read().partition("\n")[2]
        if error:  # and not of a process that was killed
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            error = ""
    return error


def _beside(path: Path) -> Path:
    return path.with_name(f"{path.name}.lock")
