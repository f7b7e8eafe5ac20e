"""Any sequence of calls on JetStream, against the model that all stores are held against."""

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from nas_server.store import Store
from tests.server.store.test_store_machine import CHANCE, StoreMachine
from tests.support.jetstream_store import prompt_store
from tests.support.nats_cluster import NatsCluster


class JetStreamMachine(StoreMachine):
    """On JetStream. The dead are buried by the cluster, whose time nobody moves by hand."""

    cluster: NatsCluster

    async def open(self) -> Store:
        self.context = prompt_store(self.cluster, chance=lambda: CHANCE)
        return await self.context.__aenter__()

    def bury(self) -> None:
        pass

    def teardown(self) -> None:
        self.do(self.context.__aexit__(None, None, None))
        self.loop.close()


@pytest.mark.parametrize(("servers", "examples"), [("nats_one", 15), ("nats_three", 5)])
def test_any_sequence_of_calls(request: pytest.FixtureRequest, servers: str, examples: int) -> None:
    JetStreamMachine.cluster = request.getfixturevalue(servers)
    run_state_machine_as_test(
        JetStreamMachine,
        settings=settings(max_examples=examples, stateful_step_count=30, deadline=None),
    )
