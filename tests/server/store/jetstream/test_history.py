"""Attempts that a cluster does not take: none is in the way of anything."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from nas_sdk._core.instants import format_instant
from nas_sdk.protocol.one_shot import DeliveryResult, fresh, lease
from nas_server.history import Attempt
from nas_server.policy import JetStreamPolicy
from nas_server.store.jetstream.history import NatsHistory
from nas_server.store.jetstream.link import JetStreamClient
from nas_server.store.jetstream.setup import Place, connect, prepare
from tests.support.jetstream_store import new_url
from tests.support.nats_cluster import NatsCluster, nats_cluster

NOW = 1_800_000_000_000
BRIEF = JetStreamPolicy(attempts=10, attempts_s=0.05)


def attempt(job: str) -> Attempt:
    at = format_instant(NOW)
    one = lease(fresh("a", job, at, "https://a.example.com", f"{job}:{at}", "os_1", NOW), NOW)
    return Attempt.of(one, DeliveryResult(ended=True, note="202"), None, NOW)


@pytest.fixture
async def stopped(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[NatsHistory]:
    """The history of a store whose only server is gone."""
    with nats_cluster(tmp_path_factory.mktemp("nats-gone"), 1) as cluster:
        place = await _prepared(cluster)
        client = await connect(place)
        cluster.kill()
        yield NatsHistory(link := JetStreamClient(client, place.names, BRIEF))
        await link.close()


async def _prepared(cluster: NatsCluster) -> Place:
    place = Place.parse(new_url(cluster))
    client = await connect(place)
    await prepare(JetStreamClient(client, place.names), place.hosts)
    await client.close()
    return place


async def test_those_that_wait_are_bounded_and_so_is_the_wait_for_them(
    stopped: NatsHistory, caplog: pytest.LogCaptureFixture
) -> None:
    for n in range(12):
        stopped.add(attempt(f"job{n}"))
    async with asyncio.timeout(5):  # each of them would be tried for 10 s
        await stopped.written()
    told = [each.message for each in caplog.records if each.message != "nats_error"]
    assert told == ["attempts_not_kept"]
