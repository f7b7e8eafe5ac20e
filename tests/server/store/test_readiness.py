"""Whatever keeps the SQLite store from arming, `/readyz`, the page and `status` say so as well."""

import os
import shutil
import sqlite3
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest

from nas_server.policy import SqlitePolicy
from nas_server.store import SqliteStore, StoreError
from tests.server.page.conftest import Admin, administered
from tests.support.nas_in_process import eventually

AT = "2099-01-01T00:00:00Z"
JOBS = 40
State = Callable[[SqliteStore, Path], AbstractAsyncContextManager[None]]


def beside(path: Path, side: str) -> Path:
    return path.with_name(f"{path.name}{side}")


def moved(side: str) -> State:
    @asynccontextmanager
    async def state(_: SqliteStore, path: Path) -> AsyncIterator[None]:
        aside = beside(path, ".aside")
        beside(path, side).rename(aside)
        yield
        aside.rename(beside(path, side))

    return state


def replaced(side: str) -> State:
    @asynccontextmanager
    async def state(_: SqliteStore, path: Path) -> AsyncIterator[None]:
        it, aside = beside(path, side), beside(path, ".aside")
        shutil.copy(it.rename(aside), it)
        yield
        aside.replace(it)

    return state


def linked(side: str) -> State:
    @asynccontextmanager
    async def state(_: SqliteStore, path: Path) -> AsyncIterator[None]:
        beside(path, ".aside").hardlink_to(beside(path, side))
        yield
        beside(path, ".aside").unlink()

    return state


@asynccontextmanager
async def moved_with_a_link(_: SqliteStore, path: Path) -> AsyncIterator[None]:
    path.symlink_to(aside := path.rename(beside(path, ".aside")))
    yield
    path.unlink()
    aside.rename(path)


def changed(side: str, change: Callable[[bytes], bytes]) -> State:
    """The content of a file is another, until it is put back."""

    @asynccontextmanager
    async def state(store: SqliteStore, path: Path) -> AsyncIterator[None]:
        if not side:  # so that all there is is in the file
            with closing(sqlite3.connect(path)) as other:
                other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        it, old, new = (f"{path}{each}" for each in (side, ".old", ".new"))
        # By another process: to close a file drops the locks that this one has on it.
        subprocess.run(["cp", it, old], check=True)  # noqa: ASYNC221 - over in a moment
        Path(new).write_bytes(change(Path(old).read_bytes()))
        subprocess.run(["cp", new, it], check=True)  # noqa: ASYNC221 - as above
        yield
        subprocess.run(["cp", old, it], check=True)  # noqa: ASYNC221 - as above

    return state


def without_an_agent(content: bytes) -> bytes:
    """Damage the page with the account of `agent`, and not that of what `/readyz` writes."""
    first = content.index(b'"i-1"') // 4096 * 4096
    assert b"probe" not in content[first : first + 4096]
    return content[:first] + b"\xff" * 4096 + content[first + 4096 :]


def told_to(pragma: str, back: str) -> State:
    @asynccontextmanager
    async def state(store: SqliteStore, _: Path) -> AsyncIterator[None]:
        def tell(what: str) -> Callable[[], object]:
            (have,) = store._writing.execute("PRAGMA page_count").fetchone()
            return lambda: store._writing.execute(f"PRAGMA {what.format(have=have)}").fetchall()

        await store._writer.look(lambda: tell(pragma)())
        yield
        await store._writer.look(lambda: tell(back)())

    return state


@asynccontextmanager
async def held_by_another(_: SqliteStore, path: Path) -> AsyncIterator[None]:
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


@asynccontextmanager
async def refused_by_the_table(_: SqliteStore, path: Path) -> AsyncIterator[None]:
    """As where its pages are damaged, and those of the other tables are not."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute(
            "CREATE TRIGGER damage BEFORE INSERT ON one_shots BEGIN SELECT RAISE(ABORT, 'bad'); END"
        )
        yield
        other.execute("DROP TRIGGER damage")


STATES: dict[str, State] = {
    **{f"moved{side}": moved(side) for side in ("", "-wal", "-shm", ".lock")},
    **{f"replaced{side}": replaced(side) for side in ("", "-wal", "-shm", ".lock")},
    **{f"linked{side}": linked(side) for side in ("", "-wal", ".lock")},
    "moved with a link": moved_with_a_link,
    "empty": changed("", lambda _: b""),
    "half": changed("", lambda content: content[: len(content) // 2]),
    "noise": changed("", lambda content: os.urandom(len(content))),
    "an agent's page": changed("", without_an_agent),
    "log empty": changed("-wal", lambda _: b""),
    "log half": changed("-wal", lambda content: content[: len(content) // 2]),
    "log without its end": changed("-wal", lambda content: content[:-1]),
    "log noise": changed("-wal", lambda content: os.urandom(len(content))),
    "log zeros": changed("-wal", lambda content: bytes(len(content))),
    "read-only": told_to("query_only = 1", "query_only = 0"),
    "full": told_to("max_page_count = {have}", "max_page_count = 1000000"),
    "held": held_by_another,
    "refused by the table": refused_by_the_table,
}

CONTENT = {
    "empty",
    "half",
    "noise",
    "an agent's page",
    *(name for name in STATES if "log " in name),
}
"""SQLite may keep what it read of such a file, and has to be started again; it says so then."""


async def arm(admin: Admin, job: str) -> tuple[int, Any]:
    body = {"job_id": job, "fire_at": AT, "dedup_key": f"{job}:{AT}"}
    body["agent_callback_url"] = f"https://x.example/{'x' * 900}"
    return (await admin.nas.call("POST", "/api/agent-cron/provision", json=body))[:2]


async def shown(admin: Admin) -> str | None:
    """What the page says of the store."""
    answer = await admin.ask("GET", "state")
    told = await answer.json()
    error: str | None = told["arm_error"] if answer.status == 200 else told["error_description"]
    return error


async def status_error(path: Path) -> str | None:
    """What `nas-server status` says of the store."""
    try:
        other = await SqliteStore.open(path, serving=False, create=False)
        try:
            error = await other.arm_error()
        finally:
            await other.close()
    except StoreError as failed:
        error = failed
    return None if error is None else str(error)


@pytest.mark.parametrize("name", STATES)
async def test_who_refuses_arms_is_not_ready(tmp_path: Path, name: str) -> None:
    path = tmp_path / "nas.db"
    store = await SqliteStore.open(path, policy=SqlitePolicy(busy_s=0.05, watch_s=0.01))
    async with administered(store) as admin:
        for n in range(JOBS):
            assert (await arm(admin, f"job{n}"))[0] == 200
            await admin.nas.nas.accounts.add(f"agent{n}", None, admin.nas.clock())
        await admin.log_in()
        async with STATES[name](store, path):
            refused = {}
            for n in range(JOBS):
                status, answer = await arm(admin, f"more{n}")
                if status != 200:
                    refused[status] = answer["error_description"]
            assert set(refused) == {503}
            status, answer, _ = await admin.nas.call("GET", "/readyz")
            assert (status, answer["error_description"]) == (503, refused[503])
            assert await shown(admin) is not None
            # In the file of the lock others read it.
            assert await status_error(path) is not None or name.endswith("ed.lock")

        async def as_before() -> bool:
            arms, ready = await arm(admin, "again"), await admin.nas.call("GET", "/readyz")
            if name in CONTENT:
                return ready[0] == 503 or arms[0] == 200
            return arms[0] == ready[0] == 200

        await eventually(as_before)

        async def told_no_more() -> bool:  # a look that began before may still tell of it
            return await shown(admin) is None and await status_error(path) is None

        if name not in CONTENT:
            await eventually(told_no_more)
    await store.close()
