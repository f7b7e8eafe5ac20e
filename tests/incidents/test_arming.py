"""Incidents 2 to 6, 9 and 10: NAS fails, forgets or answers oddly while jobs are armed."""

import json
import threading
import time
from typing import Any

from nas_sdk._core.instants import format_instant
from tests.incidents.stage import Stage, promised
from tests.support.hermes_host import eventually

HELD_UP = 20.0
"""Seconds. What is promised is 10, which tests in virtual time hold us to; this one runs on a
machine that may be busy."""
ANOTHER = "from cron.scheduler_provider import resolve_cron_scheduler as another; "


def test_incident_02_nas_fails_the_rearm(stage: Stage) -> None:
    """NAS answers 5xx or hangs up on the re-arm"""
    long_enough = 14  # for all that one request and one converge try
    faults: list[dict[str, Any]] = [
        {"status": 503, "times": long_enough},
        {"drop": "before"},
        {"drop": "after"},
    ]
    with stage.session() as hermes:
        for number, fault in enumerate(faults):
            job = stage.create(hermes, f"job-{number}", in_seconds=0)
            stage.nas.double.fail_next(**fault, operation="provision")
            hermes.do("provider.fire_due(job)", job=job)
            with promised("the next occurrence is armed while the process lives"):
                stage.await_armed(job)


def test_incident_03_nas_hangs(stage: Stage) -> None:
    """NAS hangs while a person waits at the prompt"""
    with stage.session() as session:
        for number in range(2):
            stage.create(session, f"job-{number}")
    stage.nas.double.fail_next(delay=1000, times=100)
    hermes = stage.agent.hermes
    said: list[str] = []
    create = hermes.creation("third", "every 1h")
    command = threading.Thread(target=lambda: said.append(hermes.cli(*create).stderr))
    command.start()
    try:
        eventually(lambda: stage.nas.double.requests, "a request")
        with promised("the command is held up 10 s at most"):
            command.join(HELD_UP)
            assert not command.is_alive()
    finally:
        stage.nas.clock.released.set()
        command.join()
    with promised("it says what is not armed yet"):
        assert "not armed yet" in said[0]


def test_incident_04_nas_lost_its_state(stage: Stage) -> None:
    """NAS lost what was armed"""
    with stage.session() as hermes:
        job = stage.create(hermes, "hourly")
        hermes.do("provider.reconcile()")
        assert stage.is_armed(job)
        stage.nas.double.forget()
        hermes.do("provider.reconcile()")
        with promised("the next reconcile arms everything again"):
            stage.await_armed(job)


def test_incident_05_an_item_of_the_list_is_malformed(stage: Stage) -> None:
    """an item of NAS's list is malformed"""
    far = "2099-01-01T00:00:00Z"
    with stage.session() as hermes:
        job = stage.create(hermes, "hourly")
        hermes.do("provider.reconcile()")
        stage.nas.arm(stage.agent.access, "orphan", far)
        good = [
            {"job_id": id_, "fire_at": format_instant(due), "schedule_id": "s"}
            for id_, due in stage.agent.armed().items()
        ]
        bad: list[Any] = [None, {"job_id": 7, "fire_at": far}, {"fire_at": far}]
        stage.nas.double.fail_next(operation="list", body=json.dumps({"armed": bad + good}))
        writes = stage.writes()
        hermes.do(ANOTHER + "another().reconcile()")
        with promised("the rest of the list is used"):
            stage.eventually(lambda: "orphan" not in stage.agent.armed(), "the end of the orphan")
            assert stage.writes() == writes + 1
            assert stage.is_armed(job)


def test_incident_05_the_list_is_unusable(stage: Stage) -> None:
    """NAS's list is no list, or HTML"""
    stage.nas.arm(stage.agent.access, "of-the-unknown", "2099-01-01T00:00:00Z")
    with stage.session() as hermes:
        for body in ("<html>oops</html>", '{"armed": "x"}', "[1]"):
            stage.nas.double.fail_next(operation="list", body=body, times=1000)
            job = stage.create(hermes, f"job-{len(body)}")
            hermes.do("threading.Thread(target=provider.reconcile, daemon=True).start()")
            with promised("what is desired is armed, and nothing is cancelled"):
                stage.await_armed(job)
                assert "of-the-unknown" in stage.agent.armed()
                assert stage.nas.double.sent("cancel") == []
            stage.nas.double.faults.clear()


def test_incident_06_another_spelling_of_the_same_instant(stage: Stage) -> None:
    """NAS lists the same instant in another spelling"""
    with stage.session() as hermes:
        job = stage.create(hermes, "hourly")
        hermes.do("provider.reconcile()")
        assert stage.is_armed(job)
        writes = stage.writes()
        hermes.do(ANOTHER + "another().on_jobs_changed()")
        with promised("nothing is sent but a request for the list"):
            assert stage.writes() == writes


def test_incident_09_too_many_requests(stage: Stage) -> None:
    """NAS answers 429 with Retry-After"""
    asked = 3
    with stage.session() as hermes:
        hermes.do("provider.start(stop, adapters=None, loop=None)")
        job = stage.create(hermes, "hourly")
        stage.nas.double.fail_next(429, headers={"Retry-After": str(asked)}, operation="provision")
        before = time.monotonic()
        hermes.do("threading.Thread(target=provider.reconcile, daemon=True).start()")
        with promised("the job is armed, and not before NAS wants to be asked again"):
            stage.await_armed(job)
            assert time.monotonic() - before >= asked


def test_incident_10_overdue_at_the_start(stage: Stage) -> None:
    """a job is overdue at the start, and NAS fails at first"""
    with stage.session() as hermes:
        job = stage.create(hermes, "late", in_seconds=-120)
        stage.nas.double.fail_next(503, operation="provision", times=3)
        hermes.do("provider.start(stop, adapters=None, loop=None)")
        with promised("it fires soon, once"):
            stage.eventually(lambda: stage.deliver_to(hermes) == [job], "a fire")
            assert stage.agent.hermes.runs("late") == 1
            stage.await_armed(job)
            assert stage.deliver_to(hermes) == []
            assert stage.agent.hermes.runs("late") == 1
