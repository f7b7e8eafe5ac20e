"""Fires that do not go as they should, between real processes."""

from datetime import UTC, datetime, timedelta

from nas_sdk import NasClient
from tests.hermes.conftest import AgentMaker
from tests.support.agents import PROVISION
from tests.support.hermes_host import eventually


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
