"""An agent and a NAS of its own for every incident."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.hermes.conftest import with_hook as with_hook
from tests.incidents.stage import Stage
from tests.incidents.stage import stage as new_stage
from tests.support.hermes_env import MAIN, HermesEnvironment


@pytest.fixture
def stage(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    with_hook: Callable[[str], HermesEnvironment],
) -> Iterator[Stage]:
    """With our provider, on the release that the incident asks for."""
    version = getattr(request, "param", MAIN)
    with new_stage(with_hook(version), tmp_path / "agent") as made:
        yield made
