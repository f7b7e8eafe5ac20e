"""Every test that asks for `store` runs on every store."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from nas_server.store import MemoryStore, SqliteStore, Store
from tests.support.jetstream_store import prompt_store
from tests.support.nats_cluster import NatsCluster, nats_cluster


@pytest.fixture(scope="session")
def nats_one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsCluster]:
    """One NATS server. Nobody kills it."""
    with nats_cluster(tmp_path_factory.mktemp("nats-one"), 1) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def nats_three(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsCluster]:
    """Three NATS servers that replicate. Nobody kills any."""
    with nats_cluster(tmp_path_factory.mktemp("nats-three"), 3) as cluster:
        yield cluster


@pytest.fixture(params=["memory", "sqlite", "nats_one", "nats_three"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    """An empty store."""
    if request.param == "memory":
        yield MemoryStore()
    elif request.param == "sqlite":
        opened = await SqliteStore.open(tmp_path / "nas.db")
        yield opened
        await opened.close()
    else:
        async with prompt_store(request.getfixturevalue(request.param)) as opened_there:
            yield opened_there
