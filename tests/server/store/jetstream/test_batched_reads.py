"""Many records asked for at once: each asker gets its own, and none that is old."""

import asyncio
from typing import Any

import nats.errors
import pytest

from nas_server.policy import JetStreamPolicy
from nas_server.store import StoreError
from nas_server.store.jetstream.batched_reads import FEW, BatchedReads
from nas_server.store.jetstream.link import Found, JetStreamClient
from tests.support.patience import PATIENCE_S

BRIEF = JetStreamPolicy(patience_s=0.3)


@pytest.fixture
def asked(link: JetStreamClient, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The questions that went to the leader; all of them are really asked."""
    subjects: list[str] = []
    ask = link.ask

    async def noted(subject: str, *rest: Any) -> dict[str, Any]:
        subjects.append(subject)
        return await ask(subject, *rest)

    monkeypatch.setattr(link, "ask", noted)
    return subjects


async def kept(link: JetStreamClient, count: int) -> dict[str, Found]:
    subjects = [link.names.subject("kept", "kind", str(n)) for n in range(count)]
    return {
        subject: (await link.put(subject, b"%d" % n), b"%d" % n)
        for n, subject in enumerate(subjects)
    }


async def test_many_are_read_with_one_question_to_the_leader(
    link: JetStreamClient, asked: list[str]
) -> None:
    records = await kept(link, 3 * FEW)
    missing = link.names.subject("kept", "kind", "none")
    subjects = [*records, missing, next(iter(records))]
    reads = BatchedReads(link)
    asked.clear()
    found = await asyncio.gather(*map(reads.get, subjects))
    assert found == [records.get(subject, (0, b"")) for subject in subjects]
    assert len(asked) == 1


async def test_a_few_are_read_one_by_one(link: JetStreamClient, asked: list[str]) -> None:
    records = await kept(link, FEW - 1)
    asked.clear()
    found = await asyncio.gather(*map(BatchedReads(link).get, records))
    assert found == list(records.values())
    assert len(asked) == FEW - 1


async def test_where_no_replica_is_new_enough_the_leader_gives_them(
    link: JetStreamClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = await kept(link, FEW)
    last = link.last

    async def behind(newest: int, patterns: list[str]) -> dict[str, Found]:
        with pytest.raises(nats.errors.NoRespondersError):
            await last(newest + 1, patterns)
        return await last(newest + 1, patterns)

    monkeypatch.setattr(link, "last", behind)
    assert await asyncio.gather(*map(BatchedReads(link).get, records)) == list(records.values())


async def test_an_answered_write_is_seen_by_whoever_asks_afterwards(link: JetStreamClient) -> None:
    reads = BatchedReads(link)
    records = await kept(link, FEW)
    for subject in records:
        records[subject] = await link.put(subject, b"new"), b"new"
        found = await asyncio.gather(*map(reads.get, records))
        assert found == list(records.values())


async def test_whoever_goes_takes_nothing_from_the_others(link: JetStreamClient) -> None:
    records = await kept(link, FEW)
    reads = BatchedReads(link)
    tasks = [asyncio.create_task(reads.get(subject)) for subject in records]
    await asyncio.sleep(0)
    tasks[0].cancel()
    found = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(found[0], asyncio.CancelledError)
    assert found[1:] == list(records.values())[1:]


async def test_each_hears_of_a_cluster_that_does_not_answer(link: JetStreamClient) -> None:
    records = await kept(link, FEW)
    reads = BatchedReads(JetStreamClient(link.client, link.names, BRIEF))
    await link.client.close()
    found = await asyncio.gather(*map(reads.get, records), return_exceptions=True)
    assert all(isinstance(each, StoreError) for each in found)


async def test_whatever_keeps_them_from_being_read_together_nobody_waits_for_ever(
    link: JetStreamClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a question that is larger than the cluster takes, or an answer in no known form."""
    records = await kept(link, FEW)

    async def refused(newest: int, patterns: list[str]) -> dict[str, Found]:
        raise nats.errors.MaxPayloadError

    monkeypatch.setattr(link, "last", refused)
    async with asyncio.timeout(PATIENCE_S):
        found = await asyncio.gather(*map(BatchedReads(link).get, records))
    assert found == list(records.values())
