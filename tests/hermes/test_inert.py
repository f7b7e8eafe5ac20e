"""When hermes does not use us, and that nothing of us is noticed then."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.chronos.test_thin import LOADED, MOST, count
from tests.hermes.conftest import AgentMaker
from tests.support.hermes_env import VERSIONS, HermesEnvironment

RESOLVE = """
from cron.scheduler_provider import resolve_cron_scheduler
provider = resolve_cron_scheduler()
print(provider.name, type(provider).__module__)
"""
BUILT_IN = "builtin cron.scheduler_provider"
BUNDLED = "chronos plugins.cron_providers.chronos"
OURS = "chronos chronos_plugin.scheduler"


@pytest.mark.parametrize("version", VERSIONS)
def test_ours_is_resolved_when_configured(version: str, new_agent: AgentMaker) -> None:
    assert new_agent(version).hermes.python(RESOLVE) == OURS


@pytest.mark.parametrize("version", VERSIONS)
def test_little_of_ours_is_loaded_to_resolve_it(version: str, new_agent: AgentMaker) -> None:
    assert count(new_agent(version).hermes.python(f"{RESOLVE}{LOADED}").split("\n", 1)[1]) <= MOST


@pytest.mark.parametrize(
    ("name", "key", "value"),
    [
        ("config.yaml", "cron.chronos.portal_url", ""),
        ("config.yaml", "cron.chronos.callback_url", ""),
        ("auth.json", "providers", {}),
    ],
)
def test_the_built_in_ticks_when_we_are_unavailable(
    name: str, key: str, value: object, new_agent: AgentMaker
) -> None:
    agent = new_agent()
    agent.rewrite(name, key, value)

    assert agent.hermes.python(RESOLVE) == BUILT_IN
    agent.hermes.create_job("hourly", "every 1h")
    assert agent.nas.calls(agent.access) == []


@pytest.mark.sampled
@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("provider", ["", "builtin"])
def test_inert_unless_chosen(version: str, provider: str, new_agent: AgentMaker) -> None:
    agent = new_agent(version, provider=provider)

    assert agent.hermes.python(RESOLVE) == BUILT_IN
    agent.hermes.create_job("hourly", "every 1h")
    assert agent.hermes.loaded_by_last_command().version is None
    assert agent.nas.calls(agent.access) == []


@pytest.mark.sampled
@pytest.mark.parametrize("version", VERSIONS)
def test_uninstall_leaves_no_trace(version: str, tmp_path: Path, new_agent: AgentMaker) -> None:
    environment = HermesEnvironment.create(version, tmp_path / "env")
    hermes = replace(new_agent(version).hermes, environment=environment)
    before = contents(environment)
    environment.install_hook()
    assert hermes.python(RESOLVE) == OURS
    assert contents(environment) != before

    done = environment.chronos("uninstall", "--hermes", str(environment.hermes))

    assert done.returncode == 0, done.stderr
    assert contents(environment) == before
    assert hermes.python(RESOLVE) == BUNDLED


@pytest.mark.sampled
@pytest.mark.parametrize("version", VERSIONS)
def test_the_kill_switch_gives_hermes_its_own(version: str, new_agent: AgentMaker) -> None:
    hermes = replace(new_agent(version).hermes, extra={"CHRONOS_HOOK": "0"})

    assert hermes.python(RESOLVE) == BUNDLED


def contents(environment: HermesEnvironment) -> dict[str, str]:
    """Every file of an environment that is its own, but for compiled modules."""
    return {
        str(file.relative_to(environment.prefix)): file.read_text(errors="replace")
        for file in sorted(environment.prefix.rglob("*"))
        if file.is_file() and file.suffix != ".pyc" and not file.is_symlink()
    }
