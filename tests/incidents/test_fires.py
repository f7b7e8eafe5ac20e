"""Incidents 1, 11, 12 and 14: what comes between a fire and the next arm."""

import threading

import httpx
import pytest

from tests.incidents.stage import Stage, hosts, kill, promised
from tests.support.hermes_env import MAIN
from tests.support.hermes_host import eventually


def test_incident_01_killed_between_claim_and_rearm(stage: Stage) -> None:
    """the process is killed between claim and re-arm"""
    gate = stage.agent.hermes.home.root / "gate"
    gate.touch()
    with stage.session() as hermes:
        job = stage.create(hermes, "killed", in_seconds=0, held_by=gate)
        hermes.do("provider.reconcile()")
    with stage.serving("serve") as server:
        assert stage.deliver() == [202]
        eventually(lambda: stage.agent.hermes.runs("killed") == 1, "the run")
        kill(server)
    with promised("something is left at NAS that wakes the agent"):
        due = stage.nas.double.next_due()
        assert due is not None
    stage.nas.clock.ahead = due - stage.nas.clock.time()
    with stage.serving("serve"):
        assert stage.deliver() != []
        with promised("that wake arms the job again"):
            stage.await_armed(job)


def test_incident_11_a_fire_that_loses_its_claim(stage: Stage) -> None:
    """a fire arrives while a manual run holds the claim"""
    gate = stage.agent.hermes.home.root / "gate"
    gate.touch()
    with stage.session() as hermes:
        job = stage.create(hermes, "busy", in_seconds=0, held_by=gate)
        hermes.do("provider.reconcile()")
    manual = threading.Thread(target=lambda: stage.agent.hermes.cli("cron", "run", job))
    with stage.serving("serve"):
        manual.start()
        eventually(lambda: stage.agent.hermes.runs("busy") == 1, "the manual run")
        assert stage.deliver() == [202]
        with promised("a lost claim converges the job all the same"):
            stage.await_armed(job)
        gate.unlink()
        manual.join()
        with promised("and it ran once"):
            assert stage.agent.hermes.runs("busy") == 1


@pytest.mark.off_contract("response")  # 0.22 says `duplicate`, which the contract has no word for
@hosts(MAIN, "0.22.2.post1")
def test_incident_12_the_same_fire_again(stage: Stage) -> None:
    """NAS delivers the same fire again after the run"""
    with stage.session() as hermes:
        job = stage.create(hermes, "once", in_seconds=0)
        hermes.do("provider.reconcile()")
    with stage.serving(stage.web) as server:
        assert stage.deliver() == [202]
        eventually(lambda: stage.is_armed(job), "the next one-shot")
        lists = stage.lists()
        assert stage.fire(server, job) in (200, 202)
        with promised("it does not run twice, and a converge follows"):
            stage.eventually(
                lambda: stage.lists() > lists or stage.agent.hermes.runs("once") > 1, "its end"
            )
            assert stage.agent.hermes.runs("once") == 1
            stage.await_armed(job)


def test_incident_14_changes_through_the_dashboard(stage: Stage) -> None:
    """a job is changed through the dashboard

    Up to 0.19 the dashboard tells no provider. What notices it is a gateway that runs; where
    none does, the next fire or command sends what is missing.
    """
    key = "a-session-of-this-test-only"
    stage.agent.hermes.add_script("made")
    job = {"schedule": "every 1h", "name": "made", "script": "made.sh", "no_agent": True}
    with (
        stage.serving("gateway"),
        stage.dashboard(key) as server,
        httpx.Client(
            base_url=f"{server.url}/api/cron",
            headers={"X-Hermes-Session-Token": key},
            trust_env=False,
            timeout=30,
        ) as dashboard,
    ):
        eventually(stage.lists, "the gateway's first converge")
        made = dashboard.post("/jobs", json=job).raise_for_status().json()["id"]
        with promised("a running gateway notices that a job was made"):
            stage.await_armed(made)
        dashboard.post(f"/jobs/{made}/pause").raise_for_status()
        with promised("and that it was paused"):
            stage.eventually(lambda: made not in stage.agent.armed(), "the cancel")
        dashboard.post(f"/jobs/{made}/resume").raise_for_status()
        with promised("and resumed"):
            stage.await_armed(made)
        dashboard.delete(f"/jobs/{made}").raise_for_status()
        with promised("and removed"):
            stage.eventually(lambda: made not in stage.agent.armed(), "the cancel")
