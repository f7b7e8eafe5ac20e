"""Which provider and which verifier hermes loads, asked of the process itself."""

from pathlib import Path

import pytest

import chronos_plugin
from nas_sdk._version import __version__
from tests.hermes.conftest import AgentMaker
from tests.support.hermes_env import MAIN, VERSIONS, HermesEnvironment
from tests.support.hermes_host import Loaded

LATEST = VERSIONS[-1]
SERVERS = [
    (version, kind)
    for version in VERSIONS
    for kind in ("serve", "dashboard", "gateway")
    if version != LATEST or kind == "gateway"  # the web server of that wheel does not start
]


def is_ours(loaded: Loaded) -> bool:
    """Whether all of it is this checkout's."""
    assert loaded.provider is not None
    assert loaded.verifier is not None
    package = Path(loaded.provider).resolve().parent
    assert chronos_plugin.__file__ is not None
    ours = package == Path(chronos_plugin.__file__).parent
    assert loaded.verifier.startswith("chronos_plugin") == ours
    assert loaded.version == (__version__ if ours else None)
    return ours


@pytest.mark.parametrize("version", VERSIONS)
def test_the_command_line_loads_ours(version: str, new_agent: AgentMaker) -> None:
    hermes = new_agent(version).hermes

    hermes.create_job("hourly", "every 1h")

    told = hermes.loaded_by_last_command()
    assert told.provider is not None
    assert Path(told.provider).resolve().parent.name == "chronos_plugin"
    assert told.version == __version__


@pytest.mark.parametrize(("version", "kind"), SERVERS)
def test_a_server_loads_ours_and_our_verifier(
    version: str, kind: str, new_agent: AgentMaker
) -> None:
    agent = new_agent(version)
    with agent.serving(kind) as server:
        refused = server.fire("no-token", "000000000000", "2026-06-18T12:34:56Z")
        assert refused.status_code == 401
        assert is_ours(server.loaded())


def test_without_the_hook_hermes_loads_its_own(new_agent: AgentMaker, tmp_path: Path) -> None:
    from dataclasses import replace

    bare = HermesEnvironment.create(MAIN, tmp_path / "env")
    agent = new_agent()
    hermes = replace(agent.hermes, environment=bare)
    with hermes.serving("serve") as server:
        server.fire("no-token", "000000000000", "2026-06-18T12:34:56Z")
        assert not is_ours(server.loaded())
