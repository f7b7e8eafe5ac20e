"""At an operator's limit nothing more is armed, what is due fires, and a cancel makes room."""

import asyncio
import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from nas_sdk._core.instants import format_instant
from nas_sdk.protocol import one_shot
from nas_sdk.protocol.one_shot import StoredOneShot
from nas_server.clock import system_clock
from nas_server.store.base import StorageFullError
from nas_server.store.jetstream.room import Room
from nas_server.store.jetstream.store import JetStreamStore
from tests.support.jetstream_store import Receiver, delivering, new_url, prompt_store
from tests.support.nas_in_process import eventually
from tests.support.nats_cluster import NatsCluster, nats_cluster

AHEAD = 4_000_000_000_000
LIMIT = 6 * 2**20
MORE = f"""
accounts {{
  NAS {{ jetstream {{ max_file: {LIMIT} }}, users: [{{ user: nas, password: nas }}] }}
  SYS {{ users: [{{ user: sys, password: sys }}] }}
}}
system_account: SYS
no_auth_user: nas
"""


@pytest.fixture(params=[1, 3])
def cluster(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[NatsCluster]:
    with nats_cluster(tmp_path, request.param, more=MORE) as running:
        yield running


def shot(job: str, due: int) -> StoredOneShot:
    at, url = format_instant(due), f"http://x.example/{'x' * 60_000}"
    key = f"{job}:{at}"
    return one_shot.fresh("a", job, at, url, key, one_shot.new_schedule_id(), system_clock())


async def fill(store: JetStreamStore, due: int) -> list[str]:
    """Arm until there is no more room; return the jobs."""
    jobs: list[str] = []
    while True:
        try:
            await store.provision(shot(f"job{len(jobs)}", due), system_clock())
        except StorageFullError:
            await looked_again(store)
            if await is_full(store):
                return jobs
        else:
            jobs.append(f"job{len(jobs)}")


async def looked_again(store: JetStreamStore) -> None:
    """Wait until the servers have told each other what they hold."""
    mark = -1.0
    store._room._left[0] = min(mark, store._room._left[0])
    mark = store._room._left[0]

    async def forgotten() -> bool:
        return mark not in store._room._left

    await eventually(forgotten)


async def is_full(store: JetStreamStore) -> bool:
    return isinstance(await store.arm_error(), StorageFullError)


async def test_what_is_due_fires_all_the_same_and_is_counted(cluster: NatsCluster) -> None:
    store = await JetStreamStore.open(new_url(cluster))
    jobs = await fill(store, AHEAD)
    assert jobs
    now = system_clock()
    for one in await store.armed("a"):
        await store.fire_now("a", one.job_id, one.schedule_id, now)
    counts = await store.counts(now)
    assert counts.due == len(jobs)
    assert counts.oldest_due_ms == now
    receiver = Receiver()
    async with delivering(store, receiver):
        await receiver.until(len(jobs))
    left = await store.armed("a")  # ahead of time: each stays armed for its own
    assert [(one.note, one.lease_until_ms) for one in left] == [("202", None)] * len(jobs)
    assert len(receiver.fires) == len(jobs)
    await store.close()


async def test_a_cancel_makes_room_and_each_process_says_so(cluster: NatsCluster) -> None:
    url = new_url(cluster)
    store = await JetStreamStore.open(url)
    jobs = await fill(store, AHEAD)
    beside = await JetStreamStore.open(url, serving=False)

    async def both_say_so() -> bool:
        return await is_full(store) and await is_full(beside)

    await eventually(both_say_so)
    for job in jobs:
        await store.cancel("a", job, system_clock())
    assert await store.armed("a") == []

    async def there_is_room() -> bool:
        return not await is_full(store) and not await is_full(beside)

    await eventually(there_is_room)
    await store.provision(shot("again", AHEAD), system_clock())
    await beside.close()
    await store.close()


async def test_cancels_of_nothing_leave_room_for_what_is_due(cluster: NatsCluster) -> None:
    store = await JetStreamStore.open(new_url(cluster))
    await store.cancel("a", "never", system_clock())
    first, *jobs = await fill(store, AHEAD)
    records, now = await store._jobs.count(), system_clock()
    refused: set[type] = set()
    for start in range(0, 6_000, 100):  # a note for each would take twice what is kept back
        unknown = (f"unknown{n}" for n in range(start, start + 100))
        cancels = (store.cancel("a", job, now) for job in unknown)
        refused |= set(map(type, await asyncio.gather(*cancels, return_exceptions=True)))
    assert refused == {StorageFullError}
    assert await store._jobs.count() == records
    for job in ("never", first, first):
        await store.cancel("a", job, now)
    for one in await store.armed("a"):
        await store.fire_now("a", one.job_id, one.schedule_id, now)
    receiver = Receiver()
    async with delivering(store, receiver):
        await receiver.until(len(jobs))
    assert receiver.jobs() == set(jobs)
    await store.close()


async def test_a_cancel_of_nothing_takes_room_and_one_more_of_it_none(
    nats_one: NatsCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[int] = []
    monkeypatch.setattr(Room, "take", lambda _, size: taken.append(size))
    async with prompt_store(nats_one) as store:
        for _ in range(3):
            await store.cancel("a", "job" * 80, AHEAD)
    assert taken == [240]


async def test_a_refusal_by_the_cluster_is_the_same_error(
    cluster: NatsCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Room, "take", lambda *_: None)
    store = await JetStreamStore.open(new_url(cluster))
    with pytest.raises(StorageFullError):
        await arm_without_end(store)
    assert store._room.is_full
    await store.close()


async def arm_without_end(store: JetStreamStore) -> None:
    for n in itertools.count():
        await store.provision(shot(f"job{n}", AHEAD), system_clock())
