"""What hermes's own commands show of chronos, on every release."""

import re
import subprocess
import time

import pytest

from tests.hermes.conftest import AgentMaker
from tests.support.agents import Agent
from tests.support.hermes_env import VERSIONS
from tests.support.hermes_host import eventually

KEEPS_PROBLEMS = [version for version in VERSIONS if version not in ("0.18.2", "0.19.0")]
LOOKS = (("cron", "status"), ("cron", "list"))
SLOW = 120.0
"""Seconds: a gateway of the latest release warms up before it starts its scheduler."""
BEAT = """
from cron import jobs
jobs.record_ticker_heartbeat(success=True)
"""
STALLED = re.compile("stalled|no heartbeat for|has not reported|no tick has", re.IGNORECASE)


def shown(agent: Agent, *command: str) -> str:
    done: subprocess.CompletedProcess[str] = agent.hermes.cli(*command)
    return done.stdout + done.stderr


@pytest.mark.sampled
@pytest.mark.parametrize("version", VERSIONS)
def test_a_healthy_chronos_is_no_stalled_ticker(version: str, new_agent: AgentMaker) -> None:
    agent = new_agent(version)
    agent.hermes.create_job("hourly", "every 1h")
    agent.hermes.python(BEAT)  # of the built-in ticker, before chronos was chosen
    for file in (agent.hermes.home.hermes / "cron").glob("ticker_*"):
        file.write_text(str(time.time() - 86_400))
    with agent.serving("gateway"):
        for command in LOOKS:
            said = shown(agent, *command)
            assert not STALLED.search(said), said
            assert "not armed" not in said
        assert "chronos" in shown(agent, "cron", "status")


@pytest.mark.parametrize("version", [KEEPS_PROBLEMS[0], KEEPS_PROBLEMS[-1]])
def test_what_is_not_armed_is_shown_until_it_is(version: str, new_agent: AgentMaker) -> None:
    agent = new_agent(version)
    job = agent.hermes.create_job("hourly", "every 1h")
    kept = agent.access.url
    agent.rewrite("config.yaml", "cron.chronos.portal_url", "http://127.0.0.1:9")
    agent.hermes.try_cli("cron", "edit", job, "--schedule", "every 2h")
    for command in LOOKS:
        said = shown(agent, *command)
        assert re.search(r"^chronos: .*not armed as wanted: .", said, re.MULTILINE), said
    agent.rewrite("config.yaml", "cron.chronos.portal_url", kept)
    with agent.serving("gateway"):
        eventually(lambda: agent.armed().get(job) == agent.due(job), "the arm", SLOW)
        eventually(lambda: "not armed" not in shown(agent, "cron", "list"), "the end of it", SLOW)
        assert "not armed" not in shown(agent, "cron", "status")
