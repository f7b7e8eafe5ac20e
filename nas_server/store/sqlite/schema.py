"""The SQLite file: what is in it, how it is opened, brought up to date, or refused."""

import os
import sqlite3
from pathlib import Path
from typing import Final

from nas_server.policy import SQLITE
from nas_server.store.base import StoreError

APPLICATION_ID: Final = 0x4E415331  # "NAS1"

MIGRATIONS: Final[tuple[tuple[str, ...], ...]] = (
    (
        """CREATE TABLE one_shots (
            agent TEXT NOT NULL,
            job_id TEXT NOT NULL,
            fire_at TEXT NOT NULL,
            due_ms INTEGER NOT NULL,
            callback_url TEXT NOT NULL,
            dedup_key TEXT NOT NULL,
            schedule_id TEXT NOT NULL,
            attempt INTEGER NOT NULL,
            not_before_ms INTEGER NOT NULL,
            lease_until_ms INTEGER,
            first_attempt_ms INTEGER,
            dead INTEGER NOT NULL,
            note TEXT NOT NULL,
            wake_ms INTEGER,  -- NULL when dead
            PRIMARY KEY (agent, job_id)
        ) WITHOUT ROWID""",
        "CREATE INDEX one_shots_wake ON one_shots (wake_ms) WHERE wake_ms IS NOT NULL",
        "CREATE INDEX one_shots_dead ON one_shots (not_before_ms) WHERE wake_ms IS NULL",
        """CREATE TABLE delivered (
            agent TEXT NOT NULL,
            dedup_key TEXT NOT NULL,
            schedule_id TEXT NOT NULL,
            until_ms INTEGER NOT NULL,
            PRIMARY KEY (agent, dedup_key)
        ) WITHOUT ROWID""",
        "CREATE INDEX delivered_until ON delivered (until_ms)",
        """CREATE TABLE records (
            kind TEXT NOT NULL,
            key TEXT NOT NULL,
            record TEXT NOT NULL,
            PRIMARY KEY (kind, key)
        ) WITHOUT ROWID""",
    ),
    (
        """CREATE TABLE attempts (
            id INTEGER PRIMARY KEY,
            agent TEXT NOT NULL,
            number INTEGER NOT NULL,  -- of the agent's attempts, from 1
            ended_ms INTEGER NOT NULL,
            record TEXT NOT NULL
        )""",
        "CREATE UNIQUE INDEX attempts_of_agent ON attempts (agent, number)",
    ),
    ("ALTER TABLE one_shots ADD COLUMN generation INTEGER NOT NULL DEFAULT 0",),
    ("ALTER TABLE one_shots ADD COLUMN more TEXT NOT NULL DEFAULT ''",),
    # Alone in a table, so that it stays at one place of the file.
    ("CREATE TABLE mark (id INTEGER PRIMARY KEY, mark TEXT NOT NULL)",),
)
"""Statement lists; the one at index n brings a file from schema version n to n + 1."""


def connect(path: Path, busy_s: float = SQLITE.busy_s) -> sqlite3.Connection:
    """Open the file for use by one thread at a time, without any check.

    Another process may hold it for ``busy_s`` before that is an error.
    """
    return sqlite3.connect(path, timeout=busy_s, isolation_level=None, check_same_thread=False)


def ensure(path: Path, create: bool) -> None:
    """See that the file is there, or ``create`` an empty one. Raises StoreError.

    One that is created only its owner may read: it will hold the signing keys.
    """
    try:
        os.close(os.open(path, os.O_RDWR | (os.O_CREAT if create else 0), 0o600))
    except OSError as error:
        raise StoreError(f"cannot open {path}: {error.strerror}") from None


def version(path: Path, connection: sqlite3.Connection) -> int:
    """Return the schema version, 0 for an empty file; StoreError for any file not ours."""
    try:
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        (found,) = connection.execute("PRAGMA user_version").fetchone()
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    except sqlite3.DatabaseError as error:
        raise StoreError(_refusal(path, str(error))) from None
    if application != APPLICATION_ID and (application or tables or found):
        raise StoreError(_refusal(path, "it belongs to another program"))
    if found > len(MIGRATIONS):
        raise StoreError(
            f"{path} was written by a newer nas-server (schema {found}, this one knows "
            f"{len(MIGRATIONS)}); it was left as it is: upgrade nas-server"
        )
    return int(found)


def check(path: Path, connection: sqlite3.Connection) -> None:
    """Raise StoreError when the file is damaged."""
    try:
        (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.DatabaseError as error:
        verdict = str(error)
    if verdict != "ok":
        raise StoreError(_refusal(path, f"it is damaged: {verdict}"))


def _refusal(path: Path, why: str) -> str:
    return (
        f"{path} cannot be used as a store ({' '.join(why.split())}); it was left as it is: "
        "restore a copy of it, or name another file"
    )


def migrate(path: Path, connection: sqlite3.Connection) -> None:
    """Bring the file to the newest schema, all or nothing."""
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("BEGIN IMMEDIATE")
        for statements in MIGRATIONS[version(path, connection) :]:
            for statement in statements:
                connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
        connection.execute("COMMIT")
    except sqlite3.Error as error:
        raise StoreError(f"cannot bring {path} to schema {len(MIGRATIONS)}: {error}") from None
