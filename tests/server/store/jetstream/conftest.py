"""A link to a cluster of one server, and to one of three."""

from collections.abc import AsyncIterator

import pytest

from nas_server.store.jetstream.link import JetStreamClient
from nas_server.store.jetstream.setup import Place, connect, prepare
from tests.support.jetstream_store import new_url
from tests.support.nats_cluster import NatsCluster


@pytest.fixture(params=["nats_one", "nats_three"])
async def link(request: pytest.FixtureRequest) -> AsyncIterator[JetStreamClient]:
    cluster: NatsCluster = request.getfixturevalue(request.param)
    place = Place.parse(new_url(cluster))
    client = await connect(place)
    made = JetStreamClient(client, place.names)
    await prepare(made, place.hosts)
    yield made
    await client.close()
