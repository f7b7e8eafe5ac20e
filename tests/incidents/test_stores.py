"""Incidents 23 and 24: the job store is gone, or a part of it cannot be read.

Every malformed shape of it is in `tests/chronos/test_store.py`; here hermes has made the store.
"""

import json
from pathlib import Path

from nas_sdk._core.instants import parse_instant
from tests.incidents.stage import Stage, hosts, promised
from tests.support.hermes_env import MAIN, VERSIONS

RECONCILE = """
try:
    provider.reconcile()
except Exception:
    logging.exception("the reconcile failed")
"""


def store(stage: Stage) -> Path:
    return stage.agent.hermes.home.hermes / "cron" / "jobs.json"


@hosts(MAIN, VERSIONS[-1])
def test_incident_23_the_job_store_is_gone(stage: Stage) -> None:
    """the job store is not there when a converge looks"""
    with stage.session() as hermes:
        for name in ("one", "two"):
            stage.create(hermes, name)
        hermes.do("provider.reconcile()")
    armed = stage.agent.armed()
    assert len(armed) >= 2
    away = store(stage).rename(store(stage).with_name("elsewhere"))
    with stage.session() as hermes:
        hermes.do(RECONCILE)
    with promised("nothing is cancelled"):
        assert stage.agent.armed() == armed
    if stage.ours:
        done = stage.chronos("reconcile")
        with promised("the operator is told"):
            assert done.returncode == 1
            assert "jobs.json is not there" in done.stderr
        assert stage.agent.armed() == armed
    away.rename(store(stage))


@hosts(VERSIONS[-1])
def test_incident_23_the_job_store_is_gone_as_a_fire_comes(stage: Stage) -> None:
    """the job store is not there when a job fires"""
    with stage.session() as hermes:
        job = stage.create(hermes, "once", in_seconds=0)
        hermes.do("provider.reconcile()")
    with stage.serving(stage.web) as server:
        away = store(stage).rename(store(stage).with_name("elsewhere"))
        with promised("NAS keeps the fire"):
            assert stage.fire(server, job) == 503
        away.rename(store(stage))
        with promised("and the job runs when it comes again"):
            assert stage.fire(server, job) == 202
            stage.agent.await_runs("once", 1)


@hosts(MAIN, VERSIONS[-1])
def test_incident_24_a_record_cannot_be_read(stage: Stage) -> None:
    """a record of the job store cannot be read"""
    with stage.session() as hermes:
        kept, spoiled = (stage.create(hermes, name) for name in ("kept", "spoiled"))
        hermes.do("provider.reconcile()")
    armed = stage.agent.armed()
    due = parse_instant(stage.agent.make_due(kept, 600))
    jobs = json.loads(store(stage).read_text())
    jobs["jobs"] = [[] if job["id"] == spoiled else job for job in jobs["jobs"]]
    store(stage).write_text(json.dumps(jobs))
    with stage.session() as hermes:
        hermes.do(RECONCILE)
        with promised("the others converge"):
            stage.eventually(lambda: stage.agent.armed()[kept] == due, "the new time")
        with promised("its arm is left alone"):
            assert stage.agent.armed()[spoiled] == armed[spoiled]
