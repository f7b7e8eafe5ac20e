"""Opening the file of a store: its lock, its connections, its schema brought up to date."""

import sqlite3
from pathlib import Path

import attrs

from nas_server.policy import SqlitePolicy
from nas_server.store.base import StoreError
from nas_server.store.sqlite import rows, schema
from nas_server.store.sqlite.file_guard import MEANWHILE, FileGuard
from nas_server.store.sqlite.lock import FileLock, told
from nas_server.store.sqlite.reserve import Reserve


@attrs.frozen
class Opened:
    """A file of a store, and the connections to it."""

    path: Path
    lock: FileLock | None
    guard: FileGuard | None
    reserve: Reserve
    writing: sqlite3.Connection
    reading: sqlite3.Connection
    """For what may take long."""
    listing: sqlite3.Connection
    """For what one agent has armed."""
    looking_up: sqlite3.Connection
    """For one record."""


def open_file(path: Path, serving: bool, create: bool, policy: SqlitePolicy) -> Opened:
    """Do what `SqliteStore.open` says of a file; StoreError, sqlite3.Error."""
    path = _real(path)
    if not serving and MEANWHILE in (why := told(path)):
        raise StoreError(why)  # SQLite would take its log of writes for that of another file
    schema.ensure(path, create)
    lock = FileLock(path) if serving else None
    opened: list[sqlite3.Connection] = []
    try:
        opened.append(writing := schema.connect(path, policy.busy_s))
        _prepare(path, writing, serving)
        for _ in range(3):
            opened.append(schema.connect(path, policy.busy_s))
            schema.version(path, opened[-1])  # opens the log now, that is not another's later
        guard = FileGuard(path, writing) if serving else None
    except BaseException:
        for connection in opened:
            connection.close()
        if lock is not None:
            lock.release()
        raise
    return Opened(path, lock, guard, Reserve(path, policy.reserve_bytes), *opened)


def _real(path: Path) -> Path:
    """Return the file itself: a lock must be the same whatever link leads to it."""
    try:
        return path.expanduser().resolve()
    except (OSError, RuntimeError) as error:
        raise StoreError(f"cannot open {path}: {error}") from None


def _prepare(path: Path, connection: sqlite3.Connection, serving: bool) -> None:
    found = schema.version(path, connection)
    if serving:
        schema.check(path, connection)
    if found < len(schema.MIGRATIONS):
        lock = None if serving else FileLock(path)
        try:
            schema.migrate(path, connection)
        finally:
            if lock is not None:
                lock.release()
    connection.execute("PRAGMA synchronous = FULL")  # what is answered outlives a loss of power
    if serving:
        rows.release_all(connection)
    else:  # the server does that itself, and sees when others change its file
        connection.execute("PRAGMA wal_autocheckpoint = 0")
