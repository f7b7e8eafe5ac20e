"""The SQLite file: kept over crashes, kept from others, never overwritten."""

import asyncio
import os
import sqlite3
import stat
import threading
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Any

import attrs
import pytest

from nas_sdk._core.instants import format_instant
from nas_sdk.protocol import one_shot
from nas_sdk.protocol.one_shot import DeliveryResult, StoredOneShot
from nas_server.policy import HistoryPolicy, SqlitePolicy
from nas_server.store import SqliteStore, StoreError, Which, open_store
from nas_server.store.sqlite import rows, schema
from nas_server.store.sqlite.lock import FileLock
from nas_server.store.sqlite.writer import Writer
from tests.support.durations import DAY, MINUTE
from tests.support.patience import PATIENCE_S

T = 1_800_000_000_000


def shot(job: str, agent: str = "a", due: int = T) -> StoredOneShot:
    at = format_instant(due)
    return one_shot.fresh(agent, job, at, "https://x.example", f"{job}:{at}", f"os_{job}", T)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "nas.db"


async def test_everything_is_there_after_a_restart(path: Path) -> None:
    store = await SqliteStore.open(path)
    await store.provision(shot("kept"), T)
    await store.provision(shot("leased"), T)
    await store.write("agent", "a", {"n": 1})
    held = await store.due(T, 1)
    await store.close()
    store = await SqliteStore.open(path)
    again = {one.job_id: one for one in await store.due(T, 10)}
    assert set(again) == {"kept", "leased"}
    assert again[held[0].job_id].attempt == 2
    assert await store.read("agent", "a") == {"n": 1}
    await store.close()


async def test_only_the_owner_may_read_it(path: Path) -> None:
    before = os.umask(0)
    try:
        store = await SqliteStore.open(path)
        await store.provision(shot("x"), T)
        modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    finally:
        os.umask(before)
    await store.close()
    assert {"nas.db", "nas.db-wal", "nas.db.lock"} <= set(modes)
    assert set(modes.values()) == {0o600}


async def test_a_second_serving_process_is_refused_and_a_command_is_not(path: Path) -> None:
    first = await SqliteStore.open(path)
    with pytest.raises(StoreError, match=f"in use by another nas-server .process {os.getpid()}"):
        await SqliteStore.open(path)
    beside = await SqliteStore.open(path, serving=False)
    await beside.write("agent", "new", {})
    assert await first.read("agent", "new") == {}
    await beside.close()
    await first.close()
    await (await SqliteStore.open(path)).close()


async def test_a_command_takes_no_leases_away(path: Path) -> None:
    serving = await SqliteStore.open(path)
    await serving.provision(shot("x"), T)
    await serving.due(T, 1)
    await (await SqliteStore.open(path, serving=False)).close()
    assert await serving.due(T, 1) == []
    await serving.close()


async def refused(path: Path, words: str) -> None:
    """Check that a file is refused in words, both ways, and not changed."""
    before = path.read_bytes()
    for serving in (True, False):
        with pytest.raises(StoreError, match=words):
            await SqliteStore.open(path, serving=serving)
    assert path.read_bytes() == before


async def test_a_file_of_another_kind_is_refused(path: Path) -> None:
    path.write_text("something of mine\n" * 100)
    await refused(path, "not a database.*left as it is")


async def test_a_database_of_another_program_is_refused(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE mine (x)")
    connection.close()
    await refused(path, "belongs to another program")


async def test_a_newer_file_is_refused(path: Path) -> None:
    await (await SqliteStore.open(path)).close()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    await refused(path, "newer nas-server .schema 99.*upgrade")


async def test_a_damaged_file_is_refused(path: Path) -> None:
    store = await SqliteStore.open(path)
    await asyncio.gather(*(store.provision(shot(f"job{n}"), T) for n in range(500)))
    await store.close()
    content = bytearray(path.read_bytes())
    content[8_192:12_288] = b"\xee" * 4_096
    path.write_bytes(content)
    with pytest.raises(StoreError, match=r"damaged.*left as it is.*restore") as refusal:
        await SqliteStore.open(path)
    assert "\n" not in str(refusal.value)
    assert path.read_bytes() == content


async def test_a_directory_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"cannot open .*No such file"):
        await SqliteStore.open(tmp_path / "no" / "nas.db")


@pytest.mark.parametrize("url", ["sqlite:", "nas.db", "redis://x", ""])
async def test_an_unknown_store_is_said(url: str) -> None:
    with pytest.raises(StoreError, match="write sqlite:PATH"):
        await open_store(url, serving=True)


async def test_an_older_file_is_brought_up_to_date(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = await SqliteStore.open(path)
    await store.provision(shot("kept"), T)
    await store.close()
    more = (*schema.MIGRATIONS, ("CREATE TABLE more (x)", "INSERT INTO more VALUES (1)"))
    monkeypatch.setattr(schema, "MIGRATIONS", more)
    for _ in range(2):
        store = await SqliteStore.open(path)
        assert [one.job_id for one in await store.armed("a")] == ["kept"]
        await store.close()
    connection = sqlite3.connect(path)
    assert connection.execute("SELECT count(*) FROM more").fetchone() == (1,)
    connection.close()


@pytest.mark.parametrize("old", range(1, len(schema.MIGRATIONS)))
async def test_a_file_of_an_older_schema_keeps_what_it_has(
    path: Path, monkeypatch: pytest.MonkeyPatch, old: int
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(schema, "MIGRATIONS", schema.MIGRATIONS[:old])
        await (await SqliteStore.open(path)).close()
    with closing(schema.connect(path)) as connection:
        values = attrs.asdict(shot("kept"))
        columns = [row[1] for row in connection.execute("PRAGMA table_info(one_shots)")]
        row = [values.get(column, T) for column in columns]  # wake_ms is no field
        marks = ", ".join("?" * len(row))
        connection.execute(f"INSERT INTO one_shots VALUES ({marks})", row)
    store = await SqliteStore.open(path)
    (one,) = await store.due(T, 1)
    assert (one.generation, one.more) == (0, "")
    await store.settle(one, DeliveryResult(ended=True, note="202"), T)
    assert [each.job_id for each in await store.attempts(T, 10)] == ["kept"]
    await store.close()


def keeping(attempts: int) -> SqlitePolicy:
    return SqlitePolicy(history=HistoryPolicy(in_all=attempts))


async def test_attempts_do_not_pile_up(path: Path) -> None:
    store = await SqliteStore.open(path, policy=keeping(100))

    async def settle(numbers: range, now: int, agent: str = "a") -> int:
        await asyncio.gather(*(store.provision(shot(f"job{n}", agent), T) for n in numbers))
        held = await store.due(T, len(numbers))
        done = DeliveryResult(ended=True, note="202")
        await asyncio.gather(*(store.settle(one, done, now) for one in held))
        with closing(schema.connect(path)) as connection:
            (count,) = connection.execute("SELECT count(*) FROM attempts").fetchone()
            return int(count)

    assert 100 <= await settle(range(400), T) < 100 + rows.FORGET_EVERY
    day = T + DAY
    assert 100 <= await settle(range(400, 500), day) < 100 + rows.FORGET_EVERY
    assert len(await store.attempts(day, 200)) == 100
    await store.close()
    store = await SqliteStore.open(path, policy=keeping(10_000))
    assert await settle(range(2_000), day, "b") <= 132 + 500 + rows.FORGET_EVERY
    assert len(await store.attempts(day, 200, Which("a"))) == 100
    await store.close()


@pytest.mark.parametrize("serving", [True, False])
async def test_a_migration_that_fails_leaves_the_file_as_it_was_and_free(
    path: Path, monkeypatch: pytest.MonkeyPatch, serving: bool
) -> None:
    await (await SqliteStore.open(path)).close()
    more = (*schema.MIGRATIONS, ("CREATE TABLE more (x)", "nonsense"))
    monkeypatch.setattr(schema, "MIGRATIONS", more)
    with pytest.raises(StoreError, match="cannot bring"):
        await SqliteStore.open(path, serving=serving)
    monkeypatch.undo()
    store = await SqliteStore.open(path)
    await store.close()
    connection = sqlite3.connect(path)
    assert connection.execute("SELECT * FROM sqlite_schema WHERE name = 'more'").fetchall() == []
    connection.close()


async def test_a_command_does_not_migrate_under_a_running_server(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    serving = await SqliteStore.open(path)
    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, ("CREATE TABLE more (x)",)))
    with pytest.raises(StoreError, match="in use"):
        await SqliteStore.open(path, serving=False)
    await serving.close()


async def test_one_piece_of_work_that_fails_fails_alone(path: Path) -> None:
    connection = schema.connect(path)
    connection.execute("CREATE TABLE t (x INTEGER PRIMARY KEY)")
    writer = Writer(connection)

    def insert(x: int) -> "asyncio.Future[sqlite3.Cursor]":
        return asyncio.ensure_future(
            writer.run(lambda: connection.execute("INSERT INTO t VALUES (?)", (x,)))
        )

    done = await asyncio.gather(*map(insert, [1, 2, 1, 3]), return_exceptions=True)
    assert [isinstance(each, StoreError) for each in done] == [False, False, True, False]
    rows = await writer.run(lambda: connection.execute("SELECT x FROM t ORDER BY x").fetchall())
    assert rows == [(1,), (2,), (3,)]
    await writer.close()
    with pytest.raises(StoreError, match="closed"):
        await insert(4)


async def test_a_group_that_cannot_begin_fails_the_call_and_not_the_writer(
    path: Path,
) -> None:
    connection = schema.connect(path)
    connection.execute("BEGIN")  # within a transaction none can begin
    writer = Writer(connection)
    async with asyncio.timeout(PATIENCE_S):
        with pytest.raises(StoreError, match="within a transaction"):
            await writer.run(lambda: None)
        assert await writer.look(lambda: 1) == 1
        connection.execute("ROLLBACK")
        assert await writer.run(lambda: 1) == 1
        await writer.close()


class _Planted(BaseException):
    """What no handler for ordinary errors catches."""


async def test_nothing_that_a_piece_of_work_raises_ends_the_writer(path: Path) -> None:
    writer = Writer(schema.connect(path))

    def fail() -> None:
        raise _Planted

    async with asyncio.timeout(PATIENCE_S):
        with pytest.raises(_Planted):
            await writer.run(fail)
        assert await writer.run(lambda: 1) == 1
        await writer.close()


async def test_what_is_answered_is_synced_and_a_lease_is_no_write(path: Path) -> None:
    store = await SqliteStore.open(path)
    said: list[str] = []
    store._writing.set_trace_callback(lambda statement: said.append(statement.split()[0]))
    assert store._writing.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL
    await store.provision(shot("x"), T)
    assert "COMMIT" in said
    said.clear()
    (held,) = await store.due(T, 1)
    await store.release([held])
    (held,) = await store.due(T, 1)
    await store.next_due()
    assert set(said) <= {"SELECT", "BEGIN", "ROLLBACK"}
    await store.settle(held, one_shot.DeliveryResult(ended=True, note="202"), T)
    assert "COMMIT" in said
    await store.close()


async def test_what_was_asked_before_the_close_is_done(path: Path) -> None:
    store = await SqliteStore.open(path)
    asked = [asyncio.ensure_future(store.provision(shot(f"j{n}"), T)) for n in range(50)]
    await asyncio.sleep(0)
    await store.close()
    assert await asyncio.gather(*asked) == [f"os_j{n}" for n in range(50)]


def test_the_lock_is_free_after_its_release(path: Path) -> None:
    FileLock(path).release()
    lock = FileLock(path)
    with pytest.raises(StoreError):
        FileLock(path)
    lock.release()


async def test_a_group_that_is_undone_loses_nothing_that_is_due(path: Path) -> None:
    store = await SqliteStore.open(path)
    await store.provision(shot("x"), T)
    go_on = threading.Event()

    def fail() -> None:
        raise sqlite3.IntegrityError("planted")

    busy = asyncio.ensure_future(store._writer.run(go_on.wait))
    await asyncio.sleep(0)
    due = asyncio.ensure_future(store.due(T, 10))
    failing = asyncio.ensure_future(store._writer.run(fail))
    await asyncio.sleep(0)
    go_on.set()
    await busy
    assert [one.job_id for one in await due] == ["x"]
    with pytest.raises(StoreError, match="planted"):
        await failing
    await store.close()


async def test_a_link_to_the_file_is_the_same_file(path: Path) -> None:
    store = await SqliteStore.open(path)
    link = path.with_name("link.db")
    link.symlink_to(path)
    with pytest.raises(StoreError, match="in use by another nas-server"):
        await SqliteStore.open(link)
    await store.close()


async def test_no_list_of_an_agent_waits_for_a_search(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = await SqliteStore.open(path)
    await store.provision(shot("job"), T)
    searching, go_on = threading.Event(), threading.Event()

    def slow(*_: Any) -> list[StoredOneShot]:
        searching.set()
        assert go_on.wait(PATIENCE_S)
        return []

    monkeypatch.setattr(rows, "dead", slow)
    search = asyncio.create_task(store.dead(T, 10))
    assert await asyncio.to_thread(searching.wait, PATIENCE_S)
    async with asyncio.timeout(PATIENCE_S / 2):
        assert [one.job_id for one in await store.armed("a")] == ["job"]
    go_on.set()
    assert await search == []
    await store.close()


async def test_a_locked_file_is_waited_for_once_and_not_for_each(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = await SqliteStore.open(path, policy=SqlitePolicy(busy_s=0.05))
    tries: list[int] = []
    commit = Writer._commit

    def counted(writer: Writer, group: list[Any]) -> None:
        tries.append(len(group))
        commit(writer, group)

    monkeypatch.setattr(Writer, "_commit", counted)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        calls = (store.provision(shot(f"job{n}"), T) for n in range(20))
        done = await asyncio.gather(*calls, return_exceptions=True)
        assert {type(each) for each in done} == {StoreError}
        assert sum(tries) == 20  # none was tried again by itself
        other.execute("ROLLBACK")
    await store.provision(shot("later"), T)
    await store.close()


def rows_in(path: Path, table: str) -> int:
    with closing(sqlite3.connect(path)) as db:
        found: int = db.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
        return found


async def give_up(store: SqliteStore, job: str, now: int) -> None:
    await store.provision(shot(job, due=now), now)
    for tried_ms in (now, now + DAY):
        (held,) = await store.due(tried_ms, 1)
        await store.settle(held, DeliveryResult(False, "503", DAY), tried_ms)


async def test_the_dead_do_not_pile_up(path: Path) -> None:
    store = await SqliteStore.open(path)
    await give_up(store, "first", T)
    week = T + DAY + 7 * DAY
    assert (await store.counts(week - 1)).dead == 1
    assert (await store.counts(week)).dead == 0
    await give_up(store, "second", week)
    assert rows_in(path, "one_shots") == 1
    await store.close()


async def test_delivered_keys_do_not_pile_up(path: Path) -> None:
    store = await SqliteStore.open(path)
    for n in range(3):
        now = T + n * 10 * MINUTE
        await store.provision(shot(f"job{n}"), now)
        (held,) = await store.due(now, 1)
        await store.settle(held, DeliveryResult(True, "202"), now)
    assert rows_in(path, "delivered") == 1
    await store.close()


async def test_deliveries_of_what_is_gone_do_not_pile_up(path: Path) -> None:
    store = await SqliteStore.open(path)
    for job in ("withdrawn", "dropped"):
        await store.provision(shot(job), T)
    await store.due(T, 2)
    await store.withdraw("a", "withdrawn", "os_withdrawn", T)
    await store.drop("a", before=1)
    assert await store.due(T + MINUTE, 2) == []  # when their leases are over
    assert len(store._ledger.held) == 0
    await store.close()


async def test_what_a_full_agent_arms_anew_does_not_pile_up(path: Path) -> None:
    store = await SqliteStore.open(path, policy=SqlitePolicy(ready=10))
    await store.provision(shot("steady"), T)
    for n in range(100):
        await store.provision(shot("job", due=T + n), T + n)
        assert await store.due(T + n, 10, under_way={"a": 8}, per_agent=8) == []
    assert len(store._ledger._ready) < 30
    assert [one.due_ms for one in await store.due(T + 100, 10)] == [T, T + 99]
    assert await store.due(T + 100, 10) == []
    await store.close()


async def test_nothing_ends_the_watch(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = await SqliteStore.open(path, policy=SqlitePolicy(watch_s=0.001))
    arm_error, calls, again = store.arm_error, count(), asyncio.Event()

    async def failing_once() -> StoreError | None:
        if not next(calls):
            raise OSError(5, "Input/output error")
        again.set()
        return await arm_error()

    monkeypatch.setattr(store, "arm_error", failing_once)
    async with asyncio.timeout(PATIENCE_S):
        await again.wait()
    await store.close()


async def test_a_file_that_is_not_to_be_made_is_not(path: Path) -> None:
    with pytest.raises(StoreError, match="No such file"):
        await SqliteStore.open(path, serving=False, create=False)
    assert not path.exists()
