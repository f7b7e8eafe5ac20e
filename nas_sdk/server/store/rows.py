"""What the SQLite store reads and writes, one function for each act, within a transaction.

The rules decide; these functions fetch what they decide about and keep what they say.
"""

import json
import sqlite3
from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any, Final

import attrs

from nas_sdk.server import rules
from nas_sdk.server.rules import OneShot, Outcome
from nas_sdk.server.store.base import Counts, Record

_NAMES: Final = tuple(field.name for field in attrs.fields(OneShot))
_COLUMNS: Final = ", ".join(_NAMES)
_ROW: Final = f"SELECT {_COLUMNS} FROM one_shots"  # noqa: S608 - names of our own columns
_DUE: Final = (
    f"{_ROW} WHERE wake_ms <= ? "  # noqa: S608 - as above
    "AND agent NOT IN (SELECT value FROM json_each(?)) ORDER BY wake_ms"
)
_PUT: Final = (
    f"INSERT OR REPLACE INTO one_shots ({_COLUMNS}, wake_ms) "  # noqa: S608 - as above
    f"VALUES ({', '.join('?' * (len(_NAMES) + 1))})"
)


def _one_shot(row: tuple[Any, ...]) -> OneShot:
    values = dict(zip(_NAMES, row, strict=True))
    return OneShot(**values | {"dead": bool(values["dead"])})


def get(db: sqlite3.Connection, agent: str, job_id: str) -> OneShot | None:
    """Return what the job has, a dead one-shot too."""
    row = db.execute(f"{_ROW} WHERE agent = ? AND job_id = ?", (agent, job_id)).fetchone()
    return None if row is None else _one_shot(row)


def put(db: sqlite3.Connection, one: OneShot) -> None:
    """Keep ``one`` as what its job has."""
    values = [getattr(one, name) for name in _NAMES]
    db.execute(_PUT, (*values, None if one.dead else one.wake_ms))


def delete(db: sqlite3.Connection, agent: str, job_id: str) -> None:
    """Remove what the job has."""
    db.execute("DELETE FROM one_shots WHERE agent = ? AND job_id = ?", (agent, job_id))


def provision(db: sqlite3.Connection, wanted: OneShot, now: int) -> str:
    """Arm by the rules; return the schedule id to answer."""
    row = db.execute(
        "SELECT schedule_id FROM delivered WHERE agent = ? AND dedup_key = ? AND until_ms > ?",
        (wanted.agent, wanted.dedup_key, now),
    ).fetchone()
    current = get(db, wanted.agent, wanted.job_id)
    schedule_id, write_it = rules.arm(wanted, current, row and row[0])
    if write_it:
        put(db, wanted)
    return schedule_id


def armed(db: sqlite3.Connection, agent: str) -> list[OneShot]:
    """Return what the agent has armed."""
    rows = db.execute(f"{_ROW} WHERE agent = ? AND NOT dead", (agent,))
    return [_one_shot(row) for row in rows]


def dead(db: sqlite3.Connection) -> list[OneShot]:
    """Return what was given up."""
    rows = db.execute(f"{_ROW} WHERE wake_ms IS NULL ORDER BY not_before_ms")
    return [_one_shot(row) for row in rows]


def due(
    db: sqlite3.Connection, now: int, limit: int, load: Counter[str], per_agent: int | None
) -> list[OneShot]:
    """Lease what is due, earliest first; ``load`` says what each agent has under way."""
    busy = [agent for agent, n in load.items() if per_agent is not None and n >= per_agent]
    rows = db.execute(_DUE, (now, json.dumps(busy)))
    taken: list[OneShot] = []
    for row in rows:
        if len(taken) == limit:
            break
        one = _one_shot(row)
        if per_agent is None or load[one.agent] < per_agent:
            load[one.agent] += 1
            taken.append(rules.lease(one, now))
    for one in taken:
        put(db, one)
    return taken


def next_due(db: sqlite3.Connection, busy: Collection[str]) -> int | None:
    """Return when the first one-shot needs attention, those of ``busy`` agents aside."""
    row = db.execute(
        "SELECT wake_ms FROM one_shots WHERE wake_ms IS NOT NULL "
        "AND agent NOT IN (SELECT value FROM json_each(?)) ORDER BY wake_ms LIMIT 1",
        (json.dumps(list(busy)),),
    ).fetchone()
    return None if row is None else int(row[0])


def settle(
    db: sqlite3.Connection, tried: OneShot, outcome: Outcome, now: int, chance: float
) -> OneShot | None:
    """Note how a delivery ended; return what the job has now."""
    current = get(db, tried.agent, tried.job_id)
    if outcome.ended:
        db.execute("DELETE FROM delivered WHERE until_ms <= ?", (now,))
        db.execute(
            "INSERT OR REPLACE INTO delivered (agent, dedup_key, schedule_id, until_ms) "
            "VALUES (?, ?, ?, ?)",
            (tried.agent, tried.dedup_key, tried.schedule_id, now + rules.REMEMBER_MS),
        )
        if rules.is_over(current, tried):
            delete(db, tried.agent, tried.job_id)
            return None
    elif rules.is_retried(current, tried):
        current = rules.retry(tried, outcome, now, chance)
        put(db, current)
        _bury(db, now)
    return current


def _bury(db: sqlite3.Connection, now: int) -> None:
    """Remove what has been dead for long."""
    db.execute(
        "DELETE FROM one_shots WHERE wake_ms IS NULL AND not_before_ms <= ?",
        (now - rules.KEEP_DEAD_MS,),
    )


def release(db: sqlite3.Connection, held: Sequence[OneShot]) -> None:
    """Hand back deliveries that were not made."""
    for one in held:
        if rules.is_retried(get(db, one.agent, one.job_id), one):
            put(db, rules.release(one))


def release_all(db: sqlite3.Connection) -> None:
    """Hand back every delivery that was under way."""
    db.execute(
        "UPDATE one_shots SET lease_until_ms = NULL, wake_ms = not_before_ms "
        "WHERE lease_until_ms IS NOT NULL"
    )


def counts(db: sqlite3.Connection, now: int) -> Counts:
    """Count what is held."""
    (live,) = db.execute("SELECT count(*) FROM one_shots WHERE wake_ms IS NOT NULL").fetchone()
    (past,) = db.execute("SELECT count(*) FROM one_shots WHERE wake_ms <= ?", (now,)).fetchone()
    (lost,) = db.execute("SELECT count(*) FROM one_shots WHERE wake_ms IS NULL").fetchone()
    return Counts(armed=live, due=past, dead=lost)


def read(db: sqlite3.Connection, kind: str, key: str) -> Record | None:
    """Return a record."""
    row = db.execute("SELECT record FROM records WHERE kind = ? AND key = ?", (kind, key))
    found = row.fetchone()
    if found is None:
        return None
    record: Record = json.loads(found[0])
    return record


def write(db: sqlite3.Connection, kind: str, key: str, text: str | None) -> None:
    """Keep a record, as JSON text; None removes it."""
    if text is None:
        db.execute("DELETE FROM records WHERE kind = ? AND key = ?", (kind, key))
    else:
        db.execute(
            "INSERT OR REPLACE INTO records (kind, key, record) VALUES (?, ?, ?)",
            (kind, key, text),
        )


def scan(db: sqlite3.Connection, kind: str) -> dict[str, Record]:
    """Return all records of a kind by key."""
    rows = db.execute("SELECT key, record FROM records WHERE kind = ? ORDER BY key", (kind,))
    return {key: json.loads(record) for key, record in rows}
