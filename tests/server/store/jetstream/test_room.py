"""Room in a cluster is what the last looks say together, however often it is asked about."""

from typing import Any, cast

import pytest

from nas_server.store.base import StorageFullError
from nas_server.store.jetstream.link import JetStreamClient, Names
from nas_server.store.jetstream.room import LATE, OVERHEAD, Room


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
