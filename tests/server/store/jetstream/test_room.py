"""Room in a cluster is what the last looks say together, however often it is asked about."""

import asyncio
from typing import Any, cast

import pytest

from nas_server.store.base import StorageFullError, StoreError
from nas_server.store.jetstream import room as room_module
from nas_server.store.jetstream.link import JetStreamClient, Names
from nas_server.store.jetstream.room import LATE, OVERHEAD, Room
from tests.support.patience import PATIENCE_S


class Roomy:
    """A cluster whose servers say, with every look, that there is room."""

    names = Names("T")

    def __init__(self, limit: int) -> None:
        self.asked: list[str] = []
        self.limit = limit

    async def api(self, what: str, question: dict[str, Any]) -> dict[str, Any]:
        self.asked.append(what)
        if what == "INFO":
            return {"storage": 0, "limits": {"max_storage": self.limit}}
        return {"config": {"num_replicas": 1, "max_bytes": -1}, "state": {"bytes": 0}}


async def test_whoever_asks_again_and_again_does_not_undo_a_refusal() -> None:
    cluster = Roomy(2**30)
    room = Room(cast("JetStreamClient", cluster))
    assert await room.arm_error() is None
    looked = len(cluster.asked)
    room.refused()
    for _ in range(2 * LATE):
        assert isinstance(await room.arm_error(), StorageFullError)
    assert len(cluster.asked) == looked
    with pytest.raises(StorageFullError):
        room.take(1)
    for _ in range(1 + LATE):
        await room.look()
    assert await room.arm_error() is None


async def test_what_is_armed_between_two_looks_takes_room() -> None:
    room = Room(cast("JetStreamClient", Roomy(800_000)))
    await room.look()
    for _ in range(7):  # an eighth is kept back
        room.take(100_000 - OVERHEAD)
    with pytest.raises(StorageFullError):
        room.take(1)


class Failing(Roomy):
    """A cluster that answers the first look, and of later ones one question, when it is told."""

    def __init__(self) -> None:
        super().__init__(2**30)
        self.failure: asyncio.Future[None] | None = None
        self.asked_again = asyncio.Event()

    async def api(self, what: str, question: dict[str, Any]) -> dict[str, Any]:
        if self.failure is None:
            return await super().api(what, question)
        if what == "INFO":
            self.asked_again.set()
            await self.failure
        await asyncio.Event().wait()
        raise AssertionError


async def test_it_closes_though_a_look_fails_at_the_same_moment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(room_module, "LOOK_S", 0.0)
    cluster = Failing()
    room = Room(cast("JetStreamClient", cluster))
    await room.start()
    cluster.failure = asyncio.get_running_loop().create_future()
    await cluster.asked_again.wait()
    cluster.failure.set_exception(StoreError("there is no leader"))
    await asyncio.sleep(0)  # the question has failed, and the look does not know it yet
    async with asyncio.timeout(PATIENCE_S):
        await room.close()
