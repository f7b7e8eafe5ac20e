"""Every change of a job on the command line reaches NAS before the command returns."""

import json

import pytest

from tests.support.agents import CANCEL, PROVISION, Agent


@pytest.fixture(scope="module")
def job(main_agent: Agent) -> str:
    return main_agent.hermes.create_job("hourly", "every 1h")


def test_create_provisions(main_agent: Agent, job: str) -> None:
    (call,) = main_agent.calls(PROVISION, job)

    fire_at = main_agent.hermes.home.jobs()[job]["next_run_at"]
    assert call.json() == {
        "job_id": job,
        "fire_at": fire_at,
        "agent_callback_url": main_agent.callback.url,
        "dedup_key": f"{job}:{fire_at}",
    }
    assert main_agent.armed()[job] == main_agent.due(job)


def test_a_one_shot_seconds_ahead_keeps_its_seconds(main_agent: Agent) -> None:
    once = main_agent.hermes.create_job("once", "2099-06-18T12:34:56+02:00")

    (call,) = main_agent.calls(PROVISION, once)
    assert call.json()["fire_at"] == "2099-06-18T12:34:56+02:00"


def test_pause_cancels_and_resume_provisions(main_agent: Agent, job: str) -> None:
    main_agent.hermes.cli("cron", "pause", job)
    assert job not in main_agent.armed()
    assert len(main_agent.calls(CANCEL, job)) == 1

    main_agent.hermes.cli("cron", "resume", job)
    assert main_agent.armed()[job] == main_agent.due(job)


def test_edit_replaces(main_agent: Agent, job: str) -> None:
    before = main_agent.armed()[job]

    main_agent.hermes.cli("cron", "edit", job, "--schedule", "every 3h")

    after = main_agent.armed()[job]
    assert after == main_agent.due(job)
    assert after > before


def test_remove_cancels(main_agent: Agent) -> None:
    doomed = main_agent.hermes.create_job("doomed", "every 2h")
    assert doomed in main_agent.armed()

    main_agent.hermes.cli("cron", "remove", doomed)

    assert doomed not in main_agent.armed()
    assert len(main_agent.calls(CANCEL, doomed)) == 1


def test_what_is_armed_already_is_not_sent_again(main_agent: Agent, job: str) -> None:
    sent = len(main_agent.calls(PROVISION, job))

    main_agent.hermes.create_job("another", "every 5h")

    assert len(main_agent.calls(PROVISION, job)) == sent


def test_every_call_names_us_and_the_agent(main_agent: Agent, job: str) -> None:
    calls = main_agent.nas.calls(main_agent.access)
    assert calls
    assert all(call.headers["user-agent"].startswith("nas-sdk/") for call in calls)
    assert not any(main_agent.access.token in json.dumps(call.path) for call in calls)
