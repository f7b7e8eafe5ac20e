"""A store that has no room left still fires what is due, once, and takes cancels."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from nas_sdk._core.instants import format_instant
from nas_sdk.protocol import one_shot
from nas_sdk.protocol.one_shot import DeliveryResult, StoredOneShot
from nas_server.accounts import Accounts
from nas_server.page.access import Access
from nas_server.store import SqliteStore, StoreError
from nas_server.store.base import PROBE, StorageFullError
from nas_server.store.sqlite.reserve import Reserve
from tests.support.agent_stub import agent_stub
from tests.support.durations import DAY
from tests.support.nas_in_process import eventually, hosted

T = 1_800_000_000_000
ACCEPTED = DeliveryResult(ended=True, note="202")
FAILED = DeliveryResult(ended=False, note="503")


def shot(job: str, due: int = T) -> StoredOneShot:
    at = format_instant(due)
    url = f"https://x.example/{'x' * 900}"
    return one_shot.fresh("a", job, at, url, f"{job}:{at}", one_shot.new_schedule_id(), T)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    opened = await SqliteStore.open(tmp_path / "nas.db")
    yield opened
    await opened.close()


async def limit(store: SqliteStore, pages: int | None) -> None:
    """Let the file have no more than so many pages beyond those it has; None: as many as it may."""

    def set_it() -> None:
        (have,) = store._writing.execute("PRAGMA page_count").fetchone()
        most = 2**30 if pages is None else have + pages
        store._writing.execute(f"PRAGMA max_page_count = {most}")

    await store._writer.look(set_it)


async def fill(store: SqliteStore, due: int = T) -> list[str]:
    """Arm until there is no more room; return the jobs."""
    await limit(store, 40)
    jobs: list[str] = []

    async def arm_all() -> None:
        while True:
            await store.provision(shot(f"job{len(jobs)}", due), T)
            jobs.append(f"job{len(jobs)}")

    with pytest.raises(StorageFullError, match="storage full"):
        await arm_all()
    return jobs


async def test_what_is_due_is_leased_and_settled_once(store: SqliteStore) -> None:
    jobs = await fill(store)
    assert (await store.counts(T + 9)).due == len(jobs)
    held = await store.due(T, 1_000)
    assert sorted(one.job_id for one in held) == sorted(jobs)
    assert await asyncio.gather(*(store.settle(one, ACCEPTED, T) for one in held)) == [None] * len(
        jobs
    )
    assert await store.armed("a") == []
    assert await store.due(T + DAY, 100) == []
    assert (await store.counts(T)).armed == 0


async def test_a_cancel_makes_room(store: SqliteStore) -> None:
    jobs = await fill(store)
    for job in jobs:
        await store.cancel("a", job, T)
    assert await store.armed("a") == []

    async def has_room() -> bool:
        return await store.arm_error() is None

    await eventually(has_room)
    await store.provision(shot("again"), T)


async def test_it_says_so_and_when_it_is_over(store: SqliteStore, tmp_path: Path) -> None:
    await fill(store)
    assert isinstance(await store.arm_error(), StorageFullError)
    beside = await SqliteStore.open(tmp_path / "nas.db", serving=False)
    assert isinstance(await beside.arm_error(), StorageFullError)
    await limit(store, None)

    async def has_room() -> bool:
        return await store.arm_error() is None

    await eventually(has_room)
    assert await beside.arm_error() is None
    await beside.close()
    await store.provision(shot("again"), T)


@pytest.fixture
def unwritable(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> list[StoreError]:
    """While an error is in the list, it is what every write ends with."""
    errors: list[StoreError] = []

    def check() -> None:
        if errors:
            raise errors[0]

    monkeypatch.setattr(store._writer, "_check", check)
    return errors


async def test_outcomes_that_cannot_be_written_hold_and_are_written_later(
    store: SqliteStore, unwritable: list[StoreError], tmp_path: Path
) -> None:
    for job in ("done", "again", "cancelled"):
        await store.provision(shot(job), T)
    held = {one.job_id: one for one in await store.due(T, 10)}
    unwritable.append(StoreError("the disk is gone"))
    assert await store.settle(held["done"], ACCEPTED, T + 1) is None
    left = await store.settle(held["again"], FAILED, T + 1)
    assert left is not None
    assert [one.job_id for one in await store.armed("a")] == ["again", "cancelled"]
    (retried,) = await store.due(left.not_before_ms, 10)
    assert (retried.job_id, retried.attempt) == ("again", 2)
    again = await store.settle(retried, FAILED, left.not_before_ms)
    unwritable.clear()

    async def written() -> bool:
        return not store._ledger.held.unwritten()

    await eventually(written)
    await store.close()
    reopened = await SqliteStore.open(tmp_path / "nas.db")
    armed = {one.job_id: one for one in await reopened.armed("a")}
    assert set(armed) == {"again", "cancelled"}
    assert armed["again"] == again
    done = held["done"]
    same = one_shot.fresh("a", "done", done.fire_at, done.callback_url, done.dedup_key, "os_new", T)
    assert await reopened.provision(same, T + 2) == done.schedule_id  # its key is remembered
    assert len(await reopened.attempts(T + 9, 10)) == 3
    await reopened.close()


async def write_held(store: SqliteStore) -> None:
    """Do what the store does from time to time."""
    await store._write(store._ledger.held.unwritten())


async def test_what_was_handed_back_and_then_written_is_due_again(store: SqliteStore) -> None:
    await store.provision(shot("job"), T)
    await store.release(await store.due(T, 1))
    await write_held(store)
    assert await store.next_due() == T
    assert [(one.job_id, one.attempt) for one in await store.due(T, 1)] == [("job", 2)]


async def test_what_is_leased_beside_a_write_of_what_it_was_stays_leased(
    store: SqliteStore,
) -> None:
    await store.provision(shot("job"), T)
    await store.release(await store.due(T, 1))
    # In one turn of the loop: what is written was gathered before the lease, which comes first.
    (leased,), _ = await asyncio.gather(store.due(T, 1), write_held(store))
    assert await store.armed("a") == [leased]
    left = await store.settle(leased, FAILED, T)
    assert left is not None
    assert await store.next_due() == left.not_before_ms
    assert [one.attempt for one in await store.due(left.not_before_ms, 1)] == [3]


async def test_a_retry_that_is_held_outlives_a_group_of_writes_that_is_undone(
    store: SqliteStore, unwritable: list[StoreError]
) -> None:
    await store.provision(shot("job"), T)
    (held,) = await store.due(T, 1)
    unwritable.append(StoreError("the disk is gone"))
    left = await store.settle(held, FAILED, T)
    assert left is not None
    again = left.not_before_ms
    assert await store.due(again, 1, under_way={"a": 1}, per_agent=1) == []  # now it is ready
    unwritable.clear()

    def fails() -> None:
        raise LookupError

    with pytest.raises(LookupError):
        await store._writer.run(fails)
    assert [one.attempt for one in await store.due(again, 1)] == [2]


async def test_what_was_delivered_and_cannot_be_written_hides_nothing_that_is_armed(
    store: SqliteStore, unwritable: list[StoreError]
) -> None:
    for n in range(6):
        await store.provision(shot(f"job{n}", T + n), T)
    held = await store.due(T + 2, 10)
    unwritable.append(StoreError("the disk is gone"))
    for one in held:
        await store.settle(one, ACCEPTED, T + 2)
    assert len(held) == 3
    assert [one.job_id for one in await store.upcoming(2)] == ["job3", "job4"]
    assert [one.job_id for one in await store.upcoming(2, offset=2)] == ["job5"]
    unwritable.clear()


async def test_a_key_that_was_delivered_meanwhile_is_remembered(
    store: SqliteStore, unwritable: list[StoreError]
) -> None:
    one = shot("job")
    await store.provision(one, T)
    (held,) = await store.due(T, 1)
    unwritable.append(StoreError("the disk is gone"))
    await store.settle(held, ACCEPTED, T)
    unwritable.clear()
    assert await store.provision(one, T + 1) == held.schedule_id
    assert await store.armed("a") == []
    anew = shot("job")
    assert await store.provision(anew, T - 3_600_000) == anew.schedule_id  # the clock was wrong


async def test_a_server_without_room_fires_and_says_storage_full(store: SqliteStore) -> None:
    async with hosted(store) as nas, agent_stub(nas.clock) as agent:
        for n in range(20):
            await nas.provision(f"job{n}", 1_000, agent.url)
        await limit(store, 0)
        while True:
            body = {"job_id": f"more{len(await nas.armed())}", "fire_at": "2099-01-01T00:00:00Z"}
            body["agent_callback_url"] = f"{agent.url}/{'x' * 900}"
            body["dedup_key"] = f"{body['job_id']}:{body['fire_at']}"
            status, answer, headers = await nas.call("POST", "/api/agent-cron/provision", json=body)
            if status != 200:
                break
        assert (status, answer["error"]) == (503, "temporarily_unavailable")
        assert "storage full" in answer["error_description"]
        assert int(headers["Retry-After"]) > 0
        status, answer, _ = await nas.call("GET", "/readyz")
        assert (status, "storage full" in answer["error_description"]) == (503, True)
        nas.advance(3_500)
        async with nas.client.get(f"{nas.url}/metrics") as response:
            lines = (await response.text()).splitlines()
        assert "nas_store_up 0.0" in lines
        await agent.until(20)

        async def none_due() -> bool:
            return not [job for job in await nas.armed() if job.startswith("job")]

        await eventually(none_due)
        assert sorted(agent.jobs()) == sorted(f"job{n}" for n in range(20))
        await nas.cancel("more20")


async def test_logins_go_on_without_room_for_they_are_what_cancels_take(store: SqliteStore) -> None:
    accounts, access = Accounts(store), Access(store)
    await accounts.add("agent", None, T)
    secret = await access.new_token()
    await fill(store)
    _, token = await accounts.rotate("agent")
    assert (await accounts.identify(token, T)).name == "agent"
    assert await access.login(secret, T) is not None
    with pytest.raises(StorageFullError):
        await store.write(PROBE, "readyz", {})


def test_the_reserve_is_a_file_that_others_can_tell(tmp_path: Path) -> None:
    reserve = Reserve(tmp_path / "nas.db")
    file = tmp_path / "nas.db.reserve"
    assert not reserve.is_given_up()
    size = reserve.set_aside()
    assert 0 < size <= 4 * 2**20
    assert (file.stat().st_size, reserve.is_given_up()) == (size, False)
    reserve.give_up()
    assert (file.stat().st_size, reserve.is_given_up()) == (0, True)
    assert reserve.set_aside() == size


def test_there_is_no_reserve_where_nothing_can_be_made(tmp_path: Path) -> None:
    reserve = Reserve(tmp_path / "not there" / "nas.db")
    assert reserve.set_aside() == 0
    reserve.give_up()
    assert not reserve.is_given_up()
