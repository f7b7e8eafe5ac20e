"""Questions to a cluster: what is asked twice happens once, and nothing old is believed."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import nats.errors
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg

from nas_sdk.server.store import StoreError, nats_direct, nats_link
from nas_sdk.server.store.nats_link import ConflictError, Link
from nas_sdk.server.store.nats_setup import Place, connect, prepare
from tests.support.jetstream_store import new_url
from tests.support.nats_cluster import NatsCluster


@pytest.fixture(params=["nats_one", "nats_three"])
async def link(request: pytest.FixtureRequest) -> AsyncIterator[Link]:
    cluster: NatsCluster = request.getfixturevalue(request.param)
    place = Place.parse(new_url(cluster))
    client = await connect(place)
    made = Link(client, place.names)
    await prepare(made, place.hosts, 15)
    yield made
    await client.close()


@pytest.fixture
def subject(link: Link) -> str:
    return link.names.subject("kept", "kind", "key")


async def test_a_record_is_replaced_only_as_it_was_read(link: Link, subject: str) -> None:
    assert await link.get(subject) == (0, b"")
    first = await link.put(subject, b"1", revision=0)
    with pytest.raises(ConflictError):
        await link.put(subject, b"2", revision=0)
    second = await link.put(subject, b"2", revision=first)
    with pytest.raises(ConflictError):
        await link.put(subject, b"3", revision=first)
    assert await link.get(subject) == (second, b"2")
    assert await link.all_of(link.names.subject("kept", "*", "*")) == {subject: (second, b"2")}


async def test_one_of_many_writers_wins(link: Link, subject: str) -> None:
    writes = (link.put(subject, b"%d" % n, revision=0) for n in range(20))
    done = await asyncio.gather(*writes, return_exceptions=True)
    (won,) = [n for n, revision in enumerate(done) if isinstance(revision, int)]
    assert (await link.get(subject))[1] == b"%d" % won
    assert all(isinstance(each, int | ConflictError) for each in done)


async def test_a_record_with_a_time_to_live_goes(link: Link, subject: str) -> None:
    await link.put(subject, b"1", ttl_s=1)
    async with asyncio.timeout(20):
        while await link.get(subject) != (0, b""):  # noqa: ASYNC110 - the cluster's own time
            await asyncio.sleep(0.05)


async def test_a_replica_that_lags_is_not_believed(link: Link, subject: str) -> None:
    revision = await link.put(subject, b"1")
    assert await link.all_of(subject) == {subject: (revision, b"1")}
    assert await link.last(revision, [subject]) == {subject: (revision, b"1")}
    with pytest.raises(nats.errors.NoRespondersError):
        await link.last(revision + 1, [subject])


@pytest.mark.parametrize("parts", [0, 2])
async def test_an_answer_that_does_not_go_on_is_no_answer(
    link: Link, parts: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nats_direct, "TRY_S", 0.2)

    async def begin(question: Msg) -> None:
        for n in range(parts):
            headers = {"Nats-Subject": f"one.{n}", "Nats-Sequence": str(n)}
            await link.client.publish(question.reply, b"{}", headers=headers)

    await link.client.subscribe("$JS.API.DIRECT.GET.slow", cb=begin)
    with pytest.raises(nats.errors.TimeoutError):
        await nats_direct.direct(link.client, "slow", {})


class Deaf(Client):
    """A connection that loses the answer to whatever is asked first."""

    asked = 0

    async def request(self, *arguments: Any, **named: Any) -> Msg:
        answer = await super().request(*arguments, **named)
        self.asked += 1
        if self.asked == 1:
            raise nats.errors.TimeoutError
        return answer


async def test_a_write_whose_answer_is_lost_is_made_once(link: Link, subject: str) -> None:
    first = await link.put(subject, b"1", revision=0)
    deaf = Deaf()
    assert link.client.connected_url is not None
    await deaf.connect([link.client.connected_url.netloc])
    second = await Link(deaf, link.names).put(subject, b"2", revision=first)
    await deaf.close()
    assert deaf.asked > 1
    assert await link.get(subject) == (second, b"2")


async def test_a_refusal_is_told(link: Link) -> None:
    with pytest.raises(StoreError, match=r"NATS refused: .*not found"):
        await link.api("STREAM.INFO.nobody", {})


async def test_no_answer_is_told(link: Link, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nats_link, "PATIENCE_S", 0.2)
    with pytest.raises(StoreError, match="the NATS cluster does not answer: no responders"):
        await link.ask("nobody.listens", b"")
