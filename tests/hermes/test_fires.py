"""NAS fires, hermes runs the job, the next one-shot is armed: real processes throughout."""

from datetime import UTC, datetime, timedelta

import pytest

from nas_sdk import NasClient
from nas_sdk.times import parse_instant
from tests.hermes.conftest import AgentMaker
from tests.hermes.test_loading import SERVERS
from tests.support.agents import PROVISION
from tests.support.hermes_host import eventually

SOON = 4.0
"""Seconds: longer than a command takes, so that both jobs are armed before they are due."""


@pytest.mark.parametrize(("version", "kind"), SERVERS)
def test_fire_run_and_arm_next(version: str, kind: str, new_agent: AgentMaker) -> None:
    agent = new_agent(version)
    with agent.serving(kind):
        recurring = agent.hermes.create_job("recurring", "every 1m")
        due = agent.make_due(recurring, SOON)
        at = datetime.now(UTC) + timedelta(seconds=SOON)
        once = agent.hermes.create_job("once", at.isoformat(timespec="seconds"))

        agent.await_runs("recurring", 1)
        agent.await_runs("once", 1)

        first = parse_instant(due)

        def next_is_armed() -> bool:
            armed = agent.armed().get(recurring, 0)
            return armed > first and armed == agent.due(recurring)

        eventually(next_is_armed, "the next one-shot")
        eventually(lambda: once not in agent.armed(), "the end of the one-shot")
        assert [fire.status for fire in agent.fires(recurring)] == [202]
        assert [fire.status for fire in agent.fires(once)] == [202]
        assert "recurring ran" in agent.hermes.home.outputs(recurring)[-1]
    assert agent.hermes.runs("recurring") == agent.hermes.runs("once") == 1


def test_a_fire_that_finds_the_agent_down_is_sent_again(new_agent: AgentMaker) -> None:
    agent = new_agent()
    at = datetime.now(UTC) + timedelta(seconds=1)
    once = agent.hermes.create_job("once", at.isoformat(timespec="seconds"))
    agent.callback.wait_for(lambda fire: fire.status == 503, "fire while the agent is down")

    with agent.serving("serve"):
        agent.await_runs("once", 1)
    assert [fire.status for fire in agent.fires(once)][-1] == 202


def test_a_job_that_is_gone_arms_nothing(new_agent: AgentMaker) -> None:
    agent = new_agent()
    gone = "0123456789ab"
    with agent.serving("serve"), NasClient(agent.access.url, agent.access.token) as client:
        client.provision(gone, datetime.now(UTC), agent.callback.url)
        fire = agent.callback.wait_for(lambda fire: fire.json()["job_id"] == gone, "fire")

        assert (fire.status, fire.answer_json()["status"]) == (200, "gone")
        eventually(lambda: gone not in agent.armed(), "the end of the one-shot")
    assert len(agent.calls(PROVISION, gone)) == 1
