"""Questions to a cluster: what is asked twice happens once, and nothing old is believed."""

import asyncio
from pathlib import Path
from typing import Any

import nats.errors
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg

from nas_server.policy import JetStreamPolicy
from nas_server.store import StoreError
from nas_server.store.base import GoneError
from nas_server.store.jetstream import direct as nats_direct
from nas_server.store.jetstream.link import ConflictError, JetStreamClient, Names
from nas_server.store.jetstream.setup import Place, connect
from tests.support.nas_in_process import eventually
from tests.support.nats_cluster import nats_cluster
from tests.support.patience import PATIENCE_S

BRIEF = JetStreamPolicy(patience_s=0.3)


@pytest.fixture
def subject(link: JetStreamClient) -> str:
    return link.names.subject("kept", "kind", "key")


async def test_a_record_is_replaced_only_as_it_was_read(
    link: JetStreamClient, subject: str
) -> None:
    assert await link.get(subject) == (0, b"")
    first = await link.put(subject, b"1", revision=0)
    with pytest.raises(ConflictError):
        await link.put(subject, b"2", revision=0)
    second = await link.put(subject, b"2", revision=first)
    with pytest.raises(ConflictError):
        await link.put(subject, b"3", revision=first)
    assert await link.get(subject) == (second, b"2")
    assert await link.all_of(link.names.subject("kept", "*", "*")) == {subject: (second, b"2")}


async def test_one_of_many_writers_wins(link: JetStreamClient, subject: str) -> None:
    writes = (link.put(subject, b"%d" % n, revision=0) for n in range(20))
    done = await asyncio.gather(*writes, return_exceptions=True)
    (won,) = [n for n, revision in enumerate(done) if isinstance(revision, int)]
    assert (await link.get(subject))[1] == b"%d" % won
    assert all(isinstance(each, int | ConflictError) for each in done)


async def test_a_record_with_a_time_to_live_goes(link: JetStreamClient, subject: str) -> None:
    await link.put(subject, b"1", ttl_s=1)
    async with asyncio.timeout(PATIENCE_S):
        while await link.get(subject) != (0, b""):  # noqa: ASYNC110 - the cluster's own time
            await asyncio.sleep(0.05)


async def test_a_replica_that_lags_is_not_believed(link: JetStreamClient, subject: str) -> None:
    revision = await link.put(subject, b"1")
    assert await link.all_of(subject) == {subject: (revision, b"1")}
    assert await link.last(revision, [subject]) == {subject: (revision, b"1")}
    with pytest.raises(nats.errors.NoRespondersError):
        await link.last(revision + 1, [subject])


def part(sequence: int, last: int) -> dict[str, str]:
    """The headers of one of several messages that a replica answers with."""
    found = {"Nats-Subject": f"one.{sequence}", "Nats-Sequence": str(sequence)}
    return found | {"Nats-Last-Sequence": str(last)}


def end(last: int, pending: int = 0) -> dict[str, str]:
    """The headers of the message that ends them."""
    found = {"Status": "204", "Nats-Last-Sequence": str(last), "Nats-Num-Pending": str(pending)}
    return found | {"Nats-UpTo-Sequence": "9"}


async def replica(link: JetStreamClient, stream: str, *answer: dict[str, str]) -> None:
    """Have somebody answer for a replica of a stream there is not."""

    async def say(question: Msg) -> None:
        for headers in answer:
            await link.client.publish(question.reply, b"{}", headers=headers)

    await link.client.subscribe(f"$JS.API.DIRECT.GET.{stream}", cb=say)


@pytest.mark.parametrize(
    "answer",
    [
        [],
        [part(3, 0), part(5, 3)],
        [part(5, 3), end(5)],
        [part(3, 0), part(7, 5), end(7)],
        [part(3, 0), end(5)],
        [end(5)],
    ],
)
async def test_an_answer_that_is_not_whole_is_no_answer(
    link: JetStreamClient, answer: list[dict[str, str]]
) -> None:
    await replica(link, "slow", *answer)
    with pytest.raises(nats.errors.TimeoutError):
        await nats_direct.direct(link.client, "slow", {}, 0.2)


@pytest.mark.parametrize(("pending", "newest"), [(0, 9), (1, 9), (0, 10)])
async def test_an_answer_that_had_no_room_for_all_is_not_all(
    link: JetStreamClient, pending: int, newest: int
) -> None:
    other = JetStreamClient(link.client, Names("other"))
    await replica(link, other.names.state, part(3, 0), part(5, 3), end(5, pending))
    asking = other.last(newest, ["one.*"])
    if pending or newest > 9:
        with pytest.raises(nats.errors.NoRespondersError):
            await asking
    else:
        assert await asking == {"one.3": (3, b"{}"), "one.5": (5, b"{}")}


async def test_asking_without_a_connection_leaves_nothing_behind(tmp_path: Path) -> None:
    with nats_cluster(tmp_path, 1) as cluster:
        place = Place.parse(cluster.url)
        link = JetStreamClient(await connect(place), place.names, BRIEF)
        await link.api("INFO", {})
        kept = len(link.client._resp_map)
        cluster.kill()

        async def lost() -> bool:
            return not link.client.is_connected

        await eventually(lost)
        with pytest.raises(StoreError, match="the connection is lost"):
            await link.api("INFO", {})
        assert len(link.client._resp_map) == kept
        await link.close()


async def test_a_connection_that_is_ended_for_good_is_told(link: JetStreamClient) -> None:
    assert link.is_connected()
    await link.client._process_err("'Authorization Violation'")  # as a server says it

    async def closed() -> bool:
        return bool(link.client.is_closed)

    await eventually(closed)
    with pytest.raises(GoneError, match=r"for good, .*Authorization.* start nas-server again"):
        await link.api("INFO", {})


class Deaf(Client):
    """A connection that loses the answer to whatever is asked first."""

    asked = 0
    error: Exception = nats.errors.TimeoutError()

    async def request(self, *arguments: Any, **named: Any) -> Msg:
        answer = await super().request(*arguments, **named)
        self.asked += 1
        if self.asked == 1:
            raise self.error
        return answer


@pytest.mark.parametrize("error", [nats.errors.TimeoutError(), TypeError("no writer")])
async def test_a_write_whose_answer_is_lost_is_made_once(
    link: JetStreamClient, subject: str, error: Exception
) -> None:
    first = await link.put(subject, b"1", revision=0)
    deaf = Deaf()
    deaf.error = error
    assert link.client.connected_url is not None
    await deaf.connect([link.client.connected_url.netloc])
    second = await JetStreamClient(deaf, link.names).put(subject, b"2", revision=first)
    await deaf.close()
    assert deaf.asked > 1
    assert await link.get(subject) == (second, b"2")


async def test_a_refusal_is_told(link: JetStreamClient) -> None:
    with pytest.raises(StoreError, match=r"NATS refused: .*not found"):
        await link.api("STREAM.INFO.nobody", {})


async def test_no_answer_is_told(link: JetStreamClient) -> None:
    brief = JetStreamClient(link.client, link.names, BRIEF)
    with pytest.raises(StoreError, match="the NATS cluster does not answer: no responders"):
        await brief.ask("nobody.listens", b"")
