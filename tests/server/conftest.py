"""Every test that asks for `store` runs on every store."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from nas_sdk.server.store import MemoryStore, SqliteStore, Store


@pytest.fixture(params=["memory", "sqlite"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    """An empty store."""
    opened: Store = (
        MemoryStore() if request.param == "memory" else await SqliteStore.open(tmp_path / "nas.db")
    )
    yield opened
    await opened.close()
