"""Incidents 1, 11, 12 and 14: what comes between a fire and the next arm."""

import threading

from tests.incidents.stage import Stage, hosts, kill, promised
from tests.support.hermes_env import MAIN
from tests.support.hermes_host import eventually

TWO_PHASES = "0.22.2.post1"
"""It claims a fire before it answers."""


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


@hosts(MAIN, TWO_PHASES)
def test_incident_12_the_same_fire_again(stage: Stage) -> None:
    """NAS delivers the same fire again after the run"""
    with stage.session() as hermes:
        job = stage.create(hermes, "once", in_seconds=0)
        hermes.do("provider.reconcile()")
    with stage.serving(stage.web) as server:
        assert stage.deliver() == [202]
        stage.agent.await_runs("once", 1)
        eventually(lambda: stage.is_armed(job), "the next one-shot")
        lists = stage.lists()
        is_known = stage.agent.hermes.environment.version == TWO_PHASES
        said = "duplicate" if is_known else "accepted"
        assert stage.answer(server, job).json() == {"status": said, "job_id": job}
        with promised("it does not run twice, and a converge follows"):
            stage.eventually(
                lambda: stage.lists() > lists or stage.agent.hermes.runs("once") > 1, "its end"
            )
            assert stage.agent.hermes.runs("once") == 1
            stage.await_armed(job)


def test_incident_14_changes_through_the_dashboard(stage: Stage) -> None:
    """a job is changed through the dashboard

    Up to 0.19 the dashboard tells no provider. With our hook it looks for itself, which the
    matrix of `tests/hermes` holds; this one is without, so it is the gateway that notices.
    """
    with stage.serving("gateway"), stage.dashboard() as dashboard:
        eventually(stage.lists, "the gateway's first converge")
        made = dashboard.ask("POST", "", name="made", schedule="every 1h", prompt="hello")["id"]
        with promised("a running gateway notices that a job was made"):
            stage.await_armed(made)
        dashboard.ask("POST", f"/{made}/pause")
        with promised("and that it was paused"):
            stage.eventually(lambda: made not in stage.agent.armed(), "the cancel")
        dashboard.ask("POST", f"/{made}/resume")
        with promised("and resumed"):
            stage.await_armed(made)
        dashboard.ask("DELETE", f"/{made}")
        with promised("and removed"):
            stage.eventually(lambda: made not in stage.agent.armed(), "the cancel")
