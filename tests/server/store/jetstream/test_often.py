"""Every key that is remembered of a job is in each of its writes: so there are not many."""

import pytest

from nas_server.store.base import TooOftenError
from nas_server.store.jetstream.job_record import KEYS
from nas_server.store.jetstream.store import JetStreamStore
from tests.server.store.test_store import ACCEPTED, T, arm, shot
from tests.support.agent_stub import agent_stub
from tests.support.durations import MINUTE
from tests.support.jetstream_store import prompt_store
from tests.support.nas_in_process import eventually, hosted
from tests.support.nats_cluster import NatsCluster


async def fire(store: JetStreamStore, due: int, now: int) -> str:
    (schedule_id,) = await arm(store, shot(due=due), now=now)
    (held,) = await store.due(now, 1)
    await store.settle(held, ACCEPTED, now)
    return schedule_id


async def test_a_job_that_fires_again_and_again_waits_until_keys_are_forgotten(
    nats_one: NatsCluster,
) -> None:
    async with prompt_store(nats_one) as store:
        first = await fire(store, T, T)
        fired = [await fire(store, T + n, T + MINUTE) for n in range(1, KEYS)]
        for now, wait_s in ((T + MINUTE, 540), (T + 10 * MINUTE - 1, 1)):
            with pytest.raises(TooOftenError) as told:
                await arm(store, shot(due=T + KEYS), now=now)
            assert told.value.wait_s == wait_s
            for n, schedule_id in enumerate([first, *fired]):  # none is forgotten before
                assert await arm(store, shot(due=T + n), now=now) == [schedule_id]
        assert await store.armed("a") == []
        await fire(store, T + KEYS, T + 10 * MINUTE)
        record = await store._jobs.read(("a", "job"))
        assert len(record.delivered) == KEYS
        with pytest.raises(TooOftenError):
            await arm(store, shot(due=T), now=T + 10 * MINUTE)
        await arm(store, shot("another"), now=T + 10 * MINUTE)


async def test_what_is_armed_so_often_is_a_429(nats_one: NatsCluster) -> None:
    async with (
        prompt_store(nats_one) as store,
        hosted(store) as nas,
        agent_stub(nas.clock) as agent,
    ):

        async def none_is_armed() -> bool:
            return not await store.armed("agent")

        for n in range(KEYS):
            await nas.provision("job", -n, agent.url)
            await agent.until(n + 1)
            await eventually(none_is_armed)
        fire_at = "2020-01-01T00:00:00Z"
        body = {"job_id": "job", "fire_at": fire_at, "dedup_key": f"job:{fire_at}"}
        body["agent_callback_url"] = agent.url
        status, told, headers = await nas.call("POST", "/api/agent-cron/provision", json=body)
        assert (status, told["error"], headers["Retry-After"]) == (429, "slow_down", "600")
        await nas.provision("another", 0, agent.url)
