"""Every test that asks for `store` runs on every store."""

import itertools
from collections.abc import AsyncIterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from aiohttp.web_request import BaseRequest

from nas_server.store import MemoryStore, SqliteStore, Store
from tests.support.jetstream_store import half, prompt_store
from tests.support.nats_cluster import NatsCluster, nats_cluster

_RUNNING = ExitStack()
_CLUSTERS: dict[int, NatsCluster] = {}


def _cluster(size: int, directories: pytest.TempPathFactory) -> NatsCluster:
    if size not in _CLUSTERS:
        directory = directories.mktemp(f"nats-{size}")
        _CLUSTERS[size] = _RUNNING.enter_context(nats_cluster(directory, size))
    return _CLUSTERS[size]


@pytest.hookimpl(trylast=True)  # the fixtures of a test end before
def pytest_runtest_teardown(nextitem: pytest.Item | None) -> None:
    """End the clusters with the tests of this directory: idle they cost CPU, for their streams."""
    if nextitem is None or Path(__file__).parent not in nextitem.path.parents:
        _CLUSTERS.clear()
        _RUNNING.close()


@pytest.fixture
def nats_one(tmp_path_factory: pytest.TempPathFactory) -> NatsCluster:
    """One NATS server. Nobody kills it."""
    return _cluster(1, tmp_path_factory)


@pytest.fixture
def nats_three(tmp_path_factory: pytest.TempPathFactory) -> NatsCluster:
    """Three NATS servers that replicate. Nobody kills any."""
    return _cluster(3, tmp_path_factory)


@pytest.fixture(params=["memory", "sqlite", "nats_one", "nats_three"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    """An empty store."""
    if request.param == "memory":
        yield MemoryStore(chance=half)
    elif request.param == "sqlite":
        opened = await SqliteStore.open(tmp_path / "nas.db", chance=half)
        yield opened
        await opened.close()
    else:
        async with prompt_store(request.getfixturevalue(request.param)) as opened_there:
            yield opened_there


@pytest.fixture(params=["one address", "one network"])
def one_caller(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """All requests are those of one host: it has one address, or all of an IPv6 network."""
    if request.param == "one network":
        addresses = (f"2001:db8:1:2::{number:x}" for number in itertools.count(1))
        monkeypatch.setattr(BaseRequest, "remote", property(lambda _: next(addresses)))
