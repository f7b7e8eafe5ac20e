"""What a cluster, which keeps no order in time, does when all one-shots are asked for."""

import attrs
import pytest

from nas_server.store.base import TooManyError
from tests.server.store.test_store import arm, shot
from tests.support.jetstream_store import EVER_AHEAD, prompt_store
from tests.support.nats_cluster import NatsCluster


async def test_of_too_many_none_is_put_in_order(nats_one: NatsCluster) -> None:
    policy = attrs.evolve(EVER_AHEAD, sorted=2)
    async with prompt_store(nats_one, policy=policy) as store:
        await arm(store, shot("one"), shot("two"))
        for n in range(3):  # what else is kept does not count
            await store.write("agent", f"a{n}", {"name": f"a{n}"})
        assert [one.job_id for one in await store.upcoming(9)] == ["one", "two"]
        await arm(store, shot("three"))
        with pytest.raises(TooManyError, match="ask for one agent"):
            await store.upcoming(9)
