"""The file under a running server: while it is not the one that was opened, nothing is armed."""

import shutil
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from pathlib import Path

import pytest

from nas_sdk._core.instants import format_instant
from nas_sdk.protocol import one_shot
from nas_sdk.protocol.one_shot import DeliveryResult, StoredOneShot
from nas_server.store import SqliteStore
from nas_server.store.sqlite.file_guard import FileChangedError
from tests.support.durations import DAY
from tests.support.nas_in_process import eventually, hosted

T = 1_800_000_000_000


def shot(job: str) -> StoredOneShot:
    at = format_instant(T)
    return one_shot.fresh("a", job, at, "https://x.example", f"{job}:{at}", f"os_{job}", T)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "nas.db"


@pytest.fixture
async def store(path: Path) -> AsyncIterator[SqliteStore]:
    opened = await SqliteStore.open(path)
    yield opened
    await opened.close()


def delete(path: Path) -> None:
    path.unlink()


def move(path: Path) -> None:
    path.rename(path.with_name("elsewhere.db"))


def delete_log(path: Path) -> None:
    Path(f"{path}-wal").unlink()


def delete_index(path: Path) -> None:
    Path(f"{path}-shm").unlink()


def delete_lock(path: Path) -> None:
    Path(f"{path}.lock").unlink()


def replace(path: Path) -> None:
    shutil.copy(path, other := path.with_name("other.db"))
    other.replace(path)


def hard_link(path: Path) -> None:
    path.with_name("link.db").hardlink_to(path)


def move_and_link(path: Path) -> None:
    """As to another disk: the log of writes stays under the old name, and is not found there."""
    path.symlink_to(path.rename(path.with_name("elsewhere.db")))


def overwrite(path: Path) -> None:
    shutil.copyfile(path.with_name("backup.db"), path)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def empty_log(path: Path) -> None:
    Path(f"{path}-wal").write_bytes(b"")


def restore(path: Path) -> None:
    """As ``.restore`` of the shell: through SQLite, which the server takes for a change."""
    with (
        closing(sqlite3.connect(path.with_name("backup.db"))) as source,
        closing(sqlite3.connect(path)) as target,
    ):
        source.backup(target)


HARMS = [
    delete,
    move,
    delete_log,
    delete_index,
    delete_lock,
    replace,
    hard_link,
    move_and_link,
    overwrite,
    empty,
    empty_log,
    restore,
]


async def backed_up(store: SqliteStore, path: Path) -> None:
    """Have a copy of the store made as it is, and the store changed after that."""
    await store.provision(shot("before"), T)
    with (
        closing(sqlite3.connect(path)) as source,
        closing(sqlite3.connect(path.with_name("backup.db"))) as target,
    ):
        source.backup(target)
    await store._writer.look(
        lambda: store._writing.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    )
    await store.provision(shot("after"), T)
    await store._writer.look(
        lambda: store._writing.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    )
    await store.provision(shot("later"), T)


@pytest.mark.parametrize("harm", HARMS)
async def test_nothing_is_armed_in_a_file_that_is_lost(
    store: SqliteStore, path: Path, harm: Callable[[Path], None]
) -> None:
    await backed_up(store, path)
    harm(path)
    with pytest.raises(FileChangedError, match=r"nas\.db.* under the running server: "):
        await store.provision(shot("lost"), T)

    async def told() -> bool:
        return isinstance(store._arm_error, FileChangedError)

    await eventually(told)  # nobody asks


async def test_a_copy_of_a_moment_ago_is_told_from_the_file(store: SqliteStore, path: Path) -> None:
    """Though the log of writes was worked into the file neither before it was made nor since."""
    await store.provision(shot("before"), T)
    with (
        closing(sqlite3.connect(path)) as source,
        closing(sqlite3.connect(path.with_name("backup.db"))) as target,
    ):
        source.backup(target)
    await store.provision(shot("after"), T)
    assert await store.arm_error() is None  # as it is looked at all the time
    restore(path)
    with pytest.raises(FileChangedError, match="overwritten"):
        await store.provision(shot("lost"), T)


async def test_a_copy_of_file_and_log_that_is_put_back_is_told_from_them(
    store: SqliteStore, path: Path
) -> None:
    """As by ``cp``: what the log held is gone, but this process has it in its memory."""
    log = Path(f"{path}-wal")
    await store.provision(shot("before"), T)
    assert await store.arm_error() is None
    copied = [(file, file.read_bytes()) for file in (path, log)]
    await store.provision(shot("after"), T)
    assert await store.arm_error() is None  # as it is looked at all the time
    for file, content in copied:
        file.write_bytes(content)
    with pytest.raises(FileChangedError, match="overwritten"):
        await store.provision(shot("lost"), T)
    assert isinstance(await store.arm_error(), FileChangedError)


@pytest.mark.parametrize("harm", [delete, replace, hard_link])
async def test_what_is_due_is_fired_all_the_same(
    store: SqliteStore, path: Path, harm: Callable[[Path], None]
) -> None:
    await store.provision(shot("job"), T)
    harm(path)
    (held,) = await store.due(T, 10)
    assert await store.settle(held, DeliveryResult(ended=True, note="202"), T) is None
    assert await store.due(T + DAY, 10) == []


async def test_a_second_name_that_is_removed_does_no_harm(store: SqliteStore, path: Path) -> None:
    hard_link(path)
    with pytest.raises(FileChangedError, match="remove that name"):
        await store.provision(shot("job"), T)
    path.with_name("link.db").unlink()
    await store.provision(shot("job"), T)
    assert [one.job_id for one in await store.armed("a")] == ["job"]


async def test_what_is_answered_meanwhile_is_an_error_in_words(
    store: SqliteStore, path: Path
) -> None:
    async with hosted(store) as nas:
        path.unlink()
        status, answer, _ = await nas.call("GET", "/readyz")
        assert status == 503
        assert answer["error_description"] == (
            "the store's file was deleted or moved under the running server"
        )


async def test_its_own_work_and_other_processes_are_no_harm(store: SqliteStore, path: Path) -> None:
    for n in range(30):
        await store.provision(shot(f"job{n}"), T)
        if n % 10 == 0:
            with closing(sqlite3.connect(path)) as other:
                other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
                other.execute("INSERT INTO records VALUES ('x', ?, '{}')", (str(n),))
                other.commit()
                other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        beside = await SqliteStore.open(path, serving=False)
        await beside.write("agent", f"a{n}", {})
        await beside.close()
    with closing(sqlite3.connect(path)) as other:
        other.execute("VACUUM")
    await store.provision(shot("more"), T)
    await store._writer.look(
        lambda: store._writing.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    )
    await store.provision(shot("last"), T)
    assert await store.arm_error() is None
    assert len(await store.armed("a")) == 32


async def test_looking_at_the_file_keeps_the_locks_on_it(store: SqliteStore, path: Path) -> None:
    await backed_up(store, path)
    assert await store.arm_error() is None
    beside = await SqliteStore.open(path, serving=False)
    await beside.close()  # the last to leave would take the log of writes along
    assert Path(f"{path}-wal").exists()
    await store.provision(shot("kept"), T)
