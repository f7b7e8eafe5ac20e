"""The pytest fixture `in_memory_nas`; there without an import wherever this is installed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from nas_sdk.testing import InMemoryNas

__all__ = ["in_memory_nas"]


@pytest.fixture
def in_memory_nas() -> InMemoryNas:
    """A fresh `nas_sdk.testing.InMemoryNas`, on a clock of its own."""
    from nas_sdk.testing import InMemoryNas

    return InMemoryNas()
