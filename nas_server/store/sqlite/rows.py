"""The statements of the SQLite store, one function for each. They decide nothing."""

import json
import sqlite3
from collections.abc import Iterable, Sequence
from functools import lru_cache
from operator import attrgetter
from typing import Any, Final

import attrs

from nas_sdk.protocol import one_shot
from nas_sdk.protocol.one_shot import StoredOneShot
from nas_server import history
from nas_server.history import Attempt
from nas_server.policy import HistoryPolicy
from nas_server.store.base import AgentHistogram, Counts, Histogram, Record, Which

_NAMES: Final = tuple(field.name for field in attrs.fields(StoredOneShot))
_COLUMNS: Final = ", ".join(_NAMES)
_ROW: Final = f"SELECT {_COLUMNS} FROM one_shots"  # noqa: S608 - names of our own columns
_PUT: Final = (
    f"INSERT OR REPLACE INTO one_shots ({_COLUMNS}, wake_ms) "  # noqa: S608 - as above
    f"VALUES ({', '.join('?' * (len(_NAMES) + 1))})"
)
_FIELDS: Final = attrgetter(*_NAMES)
_PUT_FIRST: Final = (
    f"INSERT INTO one_shots ({_COLUMNS}, wake_ms) "  # noqa: S608 - as above
    f"SELECT {', '.join('?' * (len(_NAMES) + 1))} WHERE NOT EXISTS "
    "(SELECT 1 FROM delivered WHERE agent = ? AND dedup_key = ? AND until_ms > ?) "
    "ON CONFLICT DO NOTHING"
)
_KNOWN: Final = (  # in one statement: each is a change of threads
    f"SELECT {_COLUMNS}, until_ms, delivered_id FROM (SELECT 1) "  # noqa: S608 - as above
    "LEFT JOIN one_shots ON agent = ? AND job_id = ? "
    "LEFT JOIN (SELECT until_ms, schedule_id AS delivered_id FROM delivered "
    "WHERE agent = ? AND dedup_key = ?)"
)

SLICE: Final = 100
"""So many that are over are forgotten at a time: what waited for all of them would wait long."""
FORGET_MS: Final = 1_000
"""How long after the last key that is over nobody looks for more: a look costs as much as a key."""
FORGET_EVERY: Final = 32
"""Every so many attempts, old ones are forgotten, twice as many at the most."""
_KEEP: Final = (
    "INSERT INTO attempts (agent, number, ended_ms, record) "
    "SELECT ?, coalesce(max(number), 0) + 1, ?, ? FROM attempts WHERE agent = ? "
    "RETURNING id, number"
)
_FORGET: Final = (
    "DELETE FROM attempts WHERE id IN (SELECT id FROM attempts ORDER BY id LIMIT ?) "
    "AND (ended_ms <= ? OR id <= ?)"
)


def _one_shot(row: Sequence[Any]) -> StoredOneShot:
    values = dict(zip(_NAMES, row, strict=True))
    return StoredOneShot(**values | {"dead": bool(values["dead"])})


def get(db: sqlite3.Connection, agent: str, job_id: str) -> StoredOneShot | None:
    """Return what the job has, a dead one-shot too."""
    row = db.execute(f"{_ROW} WHERE agent = ? AND job_id = ?", (agent, job_id)).fetchone()
    return None if row is None else _one_shot(row)


def put(db: sqlite3.Connection, one: StoredOneShot) -> None:
    """Keep ``one`` as what its job has."""
    db.execute(_PUT, _values_of(one))


def put_first(db: sqlite3.Connection, one: StoredOneShot, now: int) -> bool:
    """Keep ``one`` if its job has nothing, and its dedup key is certainly not remembered.

    Tell whether it was kept; `known` gives what there is to decide on otherwise.
    """
    asked = (*_values_of(one), one.agent, one.dedup_key, now)
    return db.execute(_PUT_FIRST, asked).rowcount == 1


def _values_of(one: StoredOneShot) -> tuple[Any, ...]:
    return (*_FIELDS(one), None if one.dead else one.wake_ms)


def delete(db: sqlite3.Connection, agent: str, job_id: str) -> None:
    """Remove what the job has."""
    db.execute("DELETE FROM one_shots WHERE agent = ? AND job_id = ?", (agent, job_id))


def drop(db: sqlite3.Connection, agent: str, before: int) -> None:
    """Remove what older credentials of an agent armed, and forget what was delivered to it."""
    db.execute("DELETE FROM one_shots WHERE agent = ? AND generation < ?", (agent, before))
    db.execute("DELETE FROM delivered WHERE agent = ?", (agent,))


def armed(db: sqlite3.Connection, agent: str) -> list[StoredOneShot]:
    """Return what the agent has armed."""
    rows = db.execute(f"{_ROW} WHERE agent = ? AND NOT dead", (agent,))
    return [_one_shot(row) for row in rows]


def dead(
    db: sqlite3.Connection, now: int, limit: int, which: Which, offset: int
) -> list[StoredOneShot]:
    """Return what was given up, the newest first."""
    order = "ORDER BY not_before_ms DESC LIMIT :limit OFFSET :offset"
    asked = {**_values(which), "limit": limit, "offset": offset}
    rows = db.execute(f"{_ROW} WHERE wake_ms IS NULL{_and(which)} {order}", asked)
    return [one for one in map(_one_shot, rows) if one_shot.is_kept(one, now)]


def upcoming(db: sqlite3.Connection, limit: int, which: Which, offset: int) -> list[StoredOneShot]:
    """Return what is armed in order of when it fires."""
    order = "ORDER BY wake_ms, agent, job_id LIMIT :limit OFFSET :offset"
    asked = {**_values(which), "limit": limit, "offset": offset}
    rows = db.execute(f"{_ROW} WHERE wake_ms IS NOT NULL{_and(which)} {order}", asked)
    return [_one_shot(row) for row in rows]


def histogram(
    db: sqlite3.Connection, start: int, end: int, bins: int, most: int, which: Which
) -> Histogram:
    """Count what fires before ``end``, from the index of times alone."""
    within = f"FROM one_shots WHERE wake_ms < :end{_and(which)}"
    asked = {**_values(which), "start": start, "end": end, "bins": bins, "most": most}
    (every,) = db.execute(f"SELECT count(*) {within}", asked).fetchone()
    first = f"SELECT agent, min(wake_ms) {within} GROUP BY agent ORDER BY 2, 1 LIMIT :most"
    agents = db.execute(first, asked).fetchall()
    counted: dict[str, dict[int, int]] = {agent: {} for agent, _ in agents}
    names = ", ".join(f":agent{n}" for n in range(len(agents)))
    asked |= {f"agent{n}": agent for n, (agent, _) in enumerate(agents)}
    place = "max(0, wake_ms - :start) * :bins / (:end - :start)"
    parts = f"SELECT agent, {place}, count(*) {within} AND agent IN ({names}) GROUP BY 1, 2"
    for agent, part, count in db.execute(parts, asked):
        counted[agent][part] = count
    shown = [AgentHistogram(agent, next_ms, counted[agent]) for agent, next_ms in agents]
    others = every - sum(sum(each.bins.values()) for each in shown)
    return Histogram(shown, max(0, others))  # more may be armed from one count to the next


def _and(which: Which, job_id: str = "job_id") -> str:
    """Return the condition that `_values` are for."""
    of_agent = "" if which.agent is None else " AND agent = :agent"
    has_text = f" AND (instr(agent, :text) OR instr({job_id}, :text))" if which.text else ""
    return of_agent + has_text


def _values(which: Which) -> dict[str, Any]:
    return {"agent": which.agent, "text": which.text}


def waking(db: sqlite3.Connection, after: int, until: int) -> Iterable[tuple[str, str, int]]:
    """Return agent, job id and time of what wakes after one time and up to another."""
    return db.execute(
        "SELECT agent, job_id, wake_ms FROM one_shots WHERE wake_ms > ? AND wake_ms <= ?",
        (after, until),
    )


def first_wake(db: sqlite3.Connection, after: int) -> int | None:
    """Return the first time after ``after`` that a one-shot wakes."""
    row = db.execute(
        "SELECT wake_ms FROM one_shots WHERE wake_ms > ? ORDER BY wake_ms LIMIT 1", (after,)
    ).fetchone()
    return None if row is None else int(row[0])


def bury(db: sqlite3.Connection, now: int) -> None:
    """Remove what was given up so long ago that nobody is shown it any more."""
    db.execute(
        "DELETE FROM one_shots WHERE (agent, job_id) IN (SELECT agent, job_id FROM one_shots "
        "WHERE wake_ms IS NULL AND not_before_ms <= ? LIMIT ?)",
        (now - one_shot.KEEP_DEAD_MS, SLICE),
    )


def known(
    db: sqlite3.Connection, wanted: StoredOneShot
) -> tuple[tuple[int, str] | None, StoredOneShot | None]:
    """Return when and as what the dedup key was delivered, and what the job has."""
    names = (wanted.agent, wanted.job_id, wanted.agent, wanted.dedup_key)
    *row, until, schedule_id = db.execute(_KNOWN, names).fetchone()
    delivered = None if until is None else (until, schedule_id)
    return delivered, None if row[0] is None else _one_shot(row)


def end(db: sqlite3.Connection, one: StoredOneShot) -> bool:
    """Remove what the job has if that is ``one``; tell whether it was."""
    names = (one.agent, one.job_id, one.schedule_id)
    done = db.execute(
        "DELETE FROM one_shots WHERE agent = ? AND job_id = ? AND schedule_id = ?", names
    )
    return done.rowcount == 1


def forget_delivered(db: sqlite3.Connection, now: int) -> bool:
    """Forget a slice of the dedup keys whose time is over; tell whether there may be more."""
    forgotten = db.execute(
        "DELETE FROM delivered WHERE (agent, dedup_key) IN "
        "(SELECT agent, dedup_key FROM delivered WHERE until_ms <= ? LIMIT ?)",
        (now, SLICE),
    )
    return forgotten.rowcount == SLICE


def remember(db: sqlite3.Connection, one: StoredOneShot, until: int) -> None:
    """Remember the dedup key of a one-shot for a while."""
    db.execute(
        "INSERT OR REPLACE INTO delivered (agent, dedup_key, schedule_id, until_ms) "
        "VALUES (?, ?, ?, ?)",
        (one.agent, one.dedup_key, one.schedule_id, until),
    )


def release_all(db: sqlite3.Connection) -> None:
    """Hand back every delivery that was under way."""
    db.execute(
        "UPDATE one_shots SET lease_until_ms = NULL, wake_ms = not_before_ms "
        "WHERE lease_until_ms IS NOT NULL"
    )


def count_due(db: sqlite3.Connection, now: int) -> int:
    """Count what waits for a delivery that could begin now."""
    (past,) = db.execute("SELECT count(*) FROM one_shots WHERE wake_ms <= ?", (now,)).fetchone()
    return int(past)


def first_due(
    db: sqlite3.Connection, now: int, limit: int, which: Which
) -> list[tuple[str, str, int]]:
    """Return agent, job id and time of the first that are due."""
    return db.execute(
        f"SELECT agent, job_id, wake_ms FROM one_shots WHERE wake_ms <= :now{_and(which)} "  # noqa: S608
        "ORDER BY wake_ms LIMIT :limit",
        {**_values(which), "now": now, "limit": limit},
    ).fetchall()


def counts(db: sqlite3.Connection, now: int, which: Which) -> Counts:
    """Count what is held."""
    asked = {**_values(which), "now": now, "dead": now - one_shot.KEEP_DEAD_MS}
    live, due, lost = (
        db.execute(f"SELECT count(*) FROM one_shots WHERE {each}{_and(which)}", asked).fetchone()[0]  # noqa: S608
        for each in (
            "wake_ms IS NOT NULL",
            "wake_ms <= :now",
            "wake_ms IS NULL AND not_before_ms > :dead",
        )
    )
    return Counts(armed=live, due=due, dead=lost)


def keep_attempt(db: sqlite3.Connection, attempt: Attempt, policy: HistoryPolicy) -> None:
    """Keep an attempt by ``policy``, and now and then forget those that are too old or too many."""
    agent, ended = attempt.agent, attempt.ended_ms
    record = json.dumps(attempt.to_record())
    kept = db.execute(_KEEP, (agent, ended, record, agent))
    ((newest, number),) = kept.fetchall()
    if number % FORGET_EVERY == 0:
        oldest = number - policy.per_agent
        db.execute("DELETE FROM attempts WHERE agent = ? AND number <= ?", (agent, oldest))
    if newest % FORGET_EVERY == 0:
        before = (2 * FORGET_EVERY, ended - policy.keep_ms, newest - policy.in_all)
        db.execute(_FORGET, before)


def attempts(
    db: sqlite3.Connection, now: int, limit: int, which: Which, offset: int, policy: HistoryPolicy
) -> list[Attempt]:
    """Return attempts, the newest first."""
    job = "json_extract(record, '$.job_id')"
    order = "id" if which.agent is None else "number"
    rows = db.execute(
        f"SELECT record FROM attempts WHERE true{_and(which, job)} "  # noqa: S608 - ours
        f"ORDER BY {order} DESC LIMIT :limit OFFSET :offset",
        {**_values(which), "limit": limit, "offset": offset},
    )
    found = [Attempt.from_record(json.loads(record)) for (record,) in rows]
    return [attempt for attempt in found if history.is_kept(attempt, now, policy)]


def read(db: sqlite3.Connection, kind: str, key: str) -> Record | None:
    """Return a record."""
    row = db.execute("SELECT record FROM records WHERE kind = ? AND key = ?", (kind, key))
    found = row.fetchone()
    if found is None:
        return None
    return _decoded(found[0])


@lru_cache(4_096)
def _decoded(text: str) -> Record:
    """Return a record, the same one for the same text: nobody changes one in place."""
    record: Record = json.loads(text)
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


def swap(db: sqlite3.Connection, kind: str, key: str, old: Record | None, text: str | None) -> bool:
    """Keep a record if ``old`` is what is there; return whether it was."""
    if read(db, kind, key) != old:
        return False
    write(db, kind, key, text)
    return True


def scan(db: sqlite3.Connection, kind: str) -> dict[str, Record]:
    """Return all records of a kind by key."""
    rows = db.execute("SELECT key, record FROM records WHERE kind = ? ORDER BY key", (kind,))
    return {key: json.loads(record) for key, record in rows}
