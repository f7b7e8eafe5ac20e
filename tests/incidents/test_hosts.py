"""Incidents 25 to 30: what hermes does with a fire, or does not, release by release."""

import json
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime

from tests.incidents.stage import Stage, hosts, promised
from tests.support.hermes_env import MAIN
from tests.support.hermes_host import HermesServer, eventually

GENERATION_3, LATEST = "0.20.6.post1", "0.22.2.post1"
HOUR = 3600
CLAIM_SECONDS = 300
COUNT = """
import gc
from nas_sdk.client import NasClient
gc.collect()
clients = sum(isinstance(each, NasClient) for each in gc.get_objects())
result = threading.active_count() > 2 or clients > 1  # the second thread watches the store
"""
CLAIM_AND_ROLL_BACK = """
from cron.executions import finish_execution
claimed = provider.claim_fire(job)
finish_execution(claimed["execution_id"], success=False, error="rolled back")
"""
START = "provider.start(stop, adapters=None, loop=None)"


@hosts(GENERATION_3, LATEST)
def test_incident_25_a_host_that_takes_fewer_keywords(stage: Stage) -> None:
    """the host's base class takes fewer keywords"""
    with stage.session() as hermes:
        job = stage.create(hermes, "fired", in_seconds=0)
        hermes.do("provider.reconcile()")
    with stage.serving("gateway"):
        with promised("the fire is taken"):
            assert stage.deliver() == [202]
        with promised("the job runs and is armed again"):
            stage.eventually(lambda: stage.agent.hermes.runs("fired") == 1, "the run")
            stage.await_armed(job)


@hosts(GENERATION_3, LATEST)
def test_incident_26_a_pause_of_an_hour(stage: Stage) -> None:
    """hermes is paused for an hour, then resumed"""
    names = ("one", "two", "three")
    with stage.session() as hermes:
        jobs = [stage.create(hermes, name, in_seconds=-HOUR) for name in names]
        hermes.do("provider.reconcile()")
    stage.agent.hermes.cli("pause")
    with stage.serving("gateway"):
        assert set(stage.deliver()) == {503}
        told = stage.chronos("status")
        with promised("the pause is told"):
            assert "hermes is paused" in told.stderr
            assert "hermes is paused" in stage.chronos("doctor", "--no-fire").stdout
        stage.agent.hermes.cli("resume")
        stage.nas.clock.ahead = 120.0  # NAS tries again by then

        def ran() -> bool:
            stage.deliver()
            return all(stage.agent.hermes.runs(name) for name in names)

        with promised("every job that came due runs after the resume, once"):
            stage.eventually(ran, "the runs", later=60.0)
            for job in jobs:
                stage.await_armed(job)
            assert [stage.agent.hermes.runs(name) for name in names] == [1, 1, 1]


@hosts(MAIN, LATEST)
def test_incident_27_start_again_and_again(stage: Stage) -> None:
    """start() is called again every minute"""
    with stage.session() as hermes:
        job = stage.create(hermes, "hourly")
        hermes.do(START)
        stage.await_armed(job)
        lists, writes = stage.lists(), stage.writes()
        hermes.do(f"for _ in range(10): {START}")
        with promised("a call asks for one list at most, and sends nothing"):
            assert stage.lists() - lists <= 10
            assert stage.writes() == writes
        with promised("there is no thread, watcher or client more"):
            stage.eventually(lambda: not hermes.do(COUNT), "no more than that")


@hosts(LATEST)
def test_incident_28_a_claim_is_rolled_back(stage: Stage) -> None:
    """a claim is rolled back before its run began"""
    with stage.session() as hermes:
        job = stage.create(hermes, "aborted", in_seconds=0)
        hermes.do("provider.reconcile()")
        due = stage.agent.hermes.home.jobs()[job]["next_run_at"]
        assert stage.deliver_to(hermes, CLAIM_AND_ROLL_BACK) == [job]
        stage.agent.write_job(job, next_run_at=due, fire_claim=None)
        with promised("it is armed again within a minute, and runs"):
            stage.eventually(lambda: stage.deliver_to(hermes) == [job], "a fire", later=60.0)
            assert stage.agent.hermes.runs("aborted") == 1
            stage.await_armed(job)


@hosts(MAIN, GENERATION_3, LATEST)
def test_incident_29_run_at_the_prompt_meanwhile(stage: Stage) -> None:
    """a job is run at the prompt while NAS's fire runs"""
    fire_directly(stage, lambda server, job: stage.agent.hermes.try_cli("cron", "run", job))


@hosts(MAIN, GENERATION_3, LATEST)
def test_incident_29_run_through_the_api_meanwhile(stage: Stage) -> None:
    """a job is run through the API while NAS's fire runs"""
    fire_directly(stage, lambda server, job: server.try_ask("POST", f"/{job}/run"))


def fire_directly(stage: Stage, fire: Callable[[HermesServer, str], object]) -> None:
    """Fire a job by another door while NAS's fire of it is run: there is one run."""
    gate = stage.agent.hermes.home.root / "gate"
    gate.touch()
    with stage.session() as hermes:
        job = stage.create(hermes, "busy", in_seconds=0, held_by=gate)
        hermes.do("provider.reconcile()")
    lists = stage.lists()
    with stage.serving("gateway") as server:
        # Or what is armed by its start would pass for what is armed after the fire.
        eventually(lambda: stage.lists() > lists, "the reconcile at its start")
        assert stage.deliver() == [202]
        eventually(lambda: stage.agent.hermes.runs("busy") == 1, "NAS's run")
        direct = threading.Thread(target=fire, args=(server, job))
        direct.start()
        direct.join(10.0)  # where hermes refuses a second run; elsewhere that waits
        gate.unlink()
        direct.join()
        with promised("the next one is armed"):
            stage.await_armed(job)
        with promised("there was one run"):
            assert stage.deliver() == []
            assert stage.agent.hermes.runs("busy") == 1


@hosts(GENERATION_3)
def test_incident_30_the_gateway_was_stopped_on_purpose(stage: Stage) -> None:
    """a fire is answered gateway_stopped, nothing runs"""
    with stage.session() as hermes:
        job = stage.create(hermes, "dropped", in_seconds=0)
        hermes.do("provider.reconcile()")
    state = stage.agent.hermes.home.hermes / "gateway_state.json"
    state.write_text(json.dumps({"desired_state": "stopped"}))
    with stage.serving("serve", alone=True):
        assert stage.deliver() == [200]
        with promised("status and doctor say why it does not run"):
            assert "stopped on purpose" in stage.chronos("status").stderr
            assert "stopped on purpose" in stage.chronos("doctor", "--no-fire").stdout
        with promised("it is armed again under another key"):
            stage.eventually(lambda: stage.deliver() == [200], "another fire", later=45.0)
        assert stage.deliver() == []
    state.unlink()
    with stage.serving("gateway"), promised("and runs once there is a gateway"):
        stage.eventually(
            lambda: stage.deliver() or stage.agent.hermes.runs("dropped"), "a fire", later=90.0
        )
        stage.await_armed(job)
        assert stage.agent.hermes.runs("dropped") == 1


@hosts(LATEST)
def test_incident_30_a_claim_is_refused(stage: Stage) -> None:
    """a claim is refused while the job stays due"""
    with stage.session() as hermes:
        job = stage.create(hermes, "refused", in_seconds=0)
        hermes.do("provider.reconcile()")
        claimed = datetime.fromtimestamp(time.time() - CLAIM_SECONDS + 20, UTC).isoformat()
        stage.agent.write_job(job, fire_claim={"at": claimed, "by": "another-machine:1"})
        refused = "assert provider.claim_fire(job) is None"
        assert stage.deliver_to(hermes, refused) == [job]
        with promised("status and doctor say why it does not run"):
            assert "claimed" in stage.chronos("doctor", "--no-fire").stdout
        with promised("it fires again once hermes would take it, and runs"):
            stage.eventually(lambda: stage.deliver_to(hermes) == [job], "a fire", later=60.0)
            assert stage.agent.hermes.runs("refused") == 1
            stage.await_armed(job)
