"""A converger by itself: when it asks, how long it waits, what it tells."""

from __future__ import annotations

import logging
import random
from collections.abc import Collection, Iterator

import pytest

from nas_sdk import NasClient
from nas_sdk._core.instants import parse_instant
from nas_sdk.errors import ConfigurationError, IdentityRejectedError
from nas_sdk.reconcile import Desired, OneShot, Reconciler
from nas_sdk.testing import InMemoryNas
from tests.support.virtual_runtime import VirtualRuntime

CALLBACK = "https://agent.example.com"
AT = "2026-06-18T12:34:56Z"


class Jobs(Reconciler):
    """Wants what `wanted` says; its client tries everything once."""

    def __init__(self, nas: InMemoryNas, runtime: VirtualRuntime) -> None:
        super().__init__(CALLBACK, runtime)
        self.wanted = [OneShot("j1", AT)]
        self.problem: BaseException | None = None
        self.doubt = ""
        self.began: list[float] = []
        """When each converge asked for its client, in seconds since the first moment."""
        self._client = nas.client(max_attempts=1)
        self._start = runtime.time()

    def client(self) -> NasClient:
        self.began.append(round(self.runtime.time() - self._start, 3))
        return self._client

    def desired(self, listed: Collection[str] | None) -> Desired:
        if self.problem:
            raise self.problem
        return Desired(self.wanted, problem=self.doubt)


@pytest.fixture
def runtime() -> Iterator[VirtualRuntime]:
    virtual = VirtualRuntime()
    yield virtual
    virtual.close()


@pytest.fixture
def nas(runtime: VirtualRuntime) -> InMemoryNas:
    return InMemoryNas(clock=runtime)


@pytest.fixture
def jobs(nas: InMemoryNas, runtime: VirtualRuntime, monkeypatch: pytest.MonkeyPatch) -> Jobs:
    monkeypatch.setattr(random, "random", lambda: 0.5)  # every wait is three quarters of its step
    return Jobs(nas, runtime)


def test_one_thread_serves_all_requests_and_a_new_one_those_after_it(
    jobs: Jobs, runtime: VirtualRuntime
) -> None:
    assert runtime.spawned == []
    for _ in range(3):
        jobs.request()
    runtime.sleep(1)
    assert runtime.spawned == ["nas-reconciler"]
    jobs.request()
    assert runtime.spawned == ["nas-reconciler"] * 2


def test_a_request_that_can_wait_waits_so_long(jobs: Jobs, runtime: VirtualRuntime) -> None:
    jobs.request(5.5)
    runtime.sleep(60)
    assert jobs.began == [5.5]


def test_what_an_earlier_process_has_armed_counts_as_tried(
    jobs: Jobs, nas: InMemoryNas, runtime: VirtualRuntime
) -> None:
    nas.arm("j1", AT)
    jobs.request()
    runtime.sleep(1)
    assert nas.sent("provision") == []
    assert jobs.tried == {"j1": parse_instant(AT)}


def test_the_waits_double_up_to_a_minute_and_begin_anew_after_a_success(
    jobs: Jobs, nas: InMemoryNas, runtime: VirtualRuntime
) -> None:
    nas.fail_next(503, times=1000)
    jobs.request()
    runtime.sleep(150)
    assert jobs.began == [0, 0.75, 2.25, 5.25, 11.25, 23.25, 47.25, 92.25, 137.25]
    nas.faults.clear()
    runtime.sleep(60)
    assert set(nas.armed()) == {"j1"}
    jobs.began.clear()
    nas.fail_next(drop="before")
    jobs.request()
    runtime.sleep(60)
    assert len(jobs.began) == 2
    assert jobs.began[1] - jobs.began[0] == pytest.approx(0.75)


def test_a_callback_that_fails_keeps_nothing_from_being_tried_again(
    jobs: Jobs,
    nas: InMemoryNas,
    runtime: VirtualRuntime,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def on_status() -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(jobs, "on_status", on_status)
    nas.fail_next(503, times=2)
    jobs.request()
    runtime.sleep(60)
    assert set(nas.armed()) == {"j1"}
    assert "how it went cannot be told: no space left on device" in caplog.text


def test_the_longest_wait_that_nas_asks_for_counts(
    jobs: Jobs, nas: InMemoryNas, runtime: VirtualRuntime
) -> None:
    jobs.wanted = [OneShot("j1", AT), OneShot("j2", AT)]
    nas.fail_next(503, operation="provision", headers={"Retry-After": "40"})
    nas.fail_next(503, operation="provision")
    jobs.request()
    runtime.sleep(60)
    assert jobs.began == [0, 40.75]
    assert set(nas.armed()) == {"j1", "j2"}


def test_an_arm_may_be_sent_again_as_soon_as_nas_s_patience_is_back(
    jobs: Jobs, nas: InMemoryNas, runtime: VirtualRuntime
) -> None:
    nas.fail_next(429, headers={"Retry-After": "40"})
    jobs.request()
    runtime.sleep(39.5)
    jobs.arm("j1", AT)
    assert nas.armed() == {}
    runtime.sleep(0.5)
    jobs.arm("j1", AT)
    assert set(nas.armed()) == {"j1"}


def test_a_refused_login_is_left_alone(
    jobs: Jobs, nas: InMemoryNas, runtime: VirtualRuntime
) -> None:
    nas.fail_next(401, times=2)
    jobs.request()
    runtime.sleep(60)
    assert jobs.began == [0, 30.75]


def test_an_arm_tells_its_caller_that_nas_does_not_know_the_agent(
    jobs: Jobs, nas: InMemoryNas, runtime: VirtualRuntime
) -> None:
    nas.fail_next(403)
    with pytest.raises(IdentityRejectedError):
        jobs.arm("j1", AT)
    assert jobs.status.fatal_error
    jobs.request()
    runtime.sleep(899)
    assert jobs.began == [0]


def test_a_converge_under_way_does_not_take_back_that_nothing_is_sent_any_more(
    jobs: Jobs, nas: InMemoryNas, runtime: VirtualRuntime
) -> None:
    nas.fail_next(delay=1.0, operation="list")
    jobs.request()
    runtime.sleep(0.5)
    nas.fail_next(403, operation="provision")
    with pytest.raises(IdentityRejectedError):
        jobs.arm("j1", AT)
    told = jobs.status
    runtime.sleep(5)
    assert set(nas.armed()) == {"j1"}
    assert jobs.status == told
    assert told.fatal_error


def test_an_arm_has_less_patience_than_a_converge(
    jobs: Jobs, nas: InMemoryNas, runtime: VirtualRuntime
) -> None:
    jobs._client = nas.client(timeout=60, max_attempts=1, deadline=60)
    nas.fail_next(delay=50)
    before = runtime.time()
    with pytest.raises(Exception, match="provision"):
        jobs.arm("j1", AT)
    assert runtime.time() - before <= 15.0


def test_nothing_is_spared_unless_a_subclass_says_so(
    jobs: Jobs, nas: InMemoryNas, runtime: VirtualRuntime, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "nas_sdk")
    nas.arm("orphan", AT)
    jobs.wanted = [OneShot("j1", AT), OneShot("j2", AT), OneShot("j3", AT)]
    nas.fail_next(400, operation="provision")
    jobs.request()
    runtime.sleep(1)
    assert set(nas.armed()) == {"j2", "j3"}
    assert "armed 2, cancelled 1, failed 1" in caplog.messages
    caplog.clear()
    jobs.wanted = jobs.wanted[1:]
    jobs.request()
    runtime.sleep(1)
    assert caplog.messages == []
    jobs.wanted = []
    jobs.request()
    runtime.sleep(1)
    assert caplog.messages == ["armed 0, cancelled 2, failed 0"]


def test_an_error_without_words_is_told_by_its_name(jobs: Jobs, runtime: VirtualRuntime) -> None:
    jobs.problem = KeyError()
    jobs.request()
    runtime.sleep(0.1)
    assert jobs.status.last_error == "KeyError"


def test_a_job_whose_time_cannot_be_read_is_named(jobs: Jobs, runtime: VirtualRuntime) -> None:
    jobs.wanted = [OneShot("j1", "tomorrow")]
    jobs.request()
    runtime.sleep(0.1)
    assert jobs.status.failed_jobs == ("j1",)
    assert jobs.status.last_error == "when job j1 fires cannot be read: give it a new time"


def test_of_several_errors_the_longest_wait_that_was_asked_for_counts(
    jobs: Jobs, nas: InMemoryNas, runtime: VirtualRuntime
) -> None:
    nas.fail_next(503, operation="list", headers={"Retry-After": "5"})
    nas.fail_next(429, operation="provision", headers={"Retry-After": "300"})
    jobs.request()
    runtime.sleep(299)
    assert jobs.began == [0.0]
    runtime.sleep(60)
    assert len(jobs.began) == 2


@pytest.mark.parametrize("asked", ["3600", "3601", "86400", "Fri, 31 Dec 9999 23:59:59 GMT"])
def test_nas_is_left_alone_for_an_hour_at_most(
    jobs: Jobs, nas: InMemoryNas, runtime: VirtualRuntime, asked: str
) -> None:
    nas.fail_next(503, operation="list", headers={"Retry-After": asked})
    jobs.request()
    runtime.sleep(3600)
    assert jobs.began == [0.0]
    runtime.sleep(60)
    assert jobs.began == [0.0, 3600.75]


def test_each_doubt_about_what_is_desired_is_told_once(
    jobs: Jobs, runtime: VirtualRuntime, caplog: pytest.LogCaptureFixture
) -> None:
    for doubt in ("one job is damaged", "one job is damaged", "two jobs are damaged", ""):
        jobs.doubt = doubt
        jobs.request()
        runtime.sleep(1)
    told = [each.getMessage() for each in caplog.records if each.levelname == "WARNING"]
    assert told == [
        "nothing is cancelled: one job is damaged",
        "nothing is cancelled: two jobs are damaged",
    ]


def test_before_the_first_converge_everything_may_have_moved(
    jobs: Jobs, runtime: VirtualRuntime
) -> None:
    assert jobs.has_moved()
    jobs.request()
    runtime.sleep(1)
    assert not jobs.has_moved()


@pytest.mark.parametrize("error", [SystemExit(3), SystemExit(), KeyError()])
def test_what_a_caller_s_code_raises_is_told_and_tried_again(
    jobs: Jobs, nas: InMemoryNas, runtime: VirtualRuntime, error: BaseException
) -> None:
    jobs.problem = error
    jobs.request()
    runtime.sleep(0.5)
    assert jobs.status.last_error == (str(error) or type(error).__name__)
    jobs.problem = None
    runtime.sleep(30)
    assert set(nas.armed()) == {"j1"}


def test_what_nas_refuses_is_tried_again_after_a_quarter_of_an_hour(
    jobs: Jobs, nas: InMemoryNas, runtime: VirtualRuntime
) -> None:
    nas.fail_next(400, times=1000)
    assert jobs.wait(jobs.request(), 60)
    runtime.sleep(1_799)
    assert jobs.began == [0, 900]
    nas.faults.clear()
    runtime.sleep(1)
    assert set(nas.armed()) == {"j1"}
    runtime.sleep(7_200)
    assert jobs.began == [0, 900, 1_800]


def test_an_agent_that_nas_does_not_know_asks_every_quarter_of_an_hour(
    jobs: Jobs, nas: InMemoryNas, runtime: VirtualRuntime, caplog: pytest.LogCaptureFixture
) -> None:
    nas.fail_next(403, times=1000)
    assert not jobs.wait(jobs.request(), 60)
    for _ in range(100):
        runtime.sleep(60)
        before = runtime.time()
        assert not jobs.wait(jobs.request(), 60)
        assert runtime.time() == before
    assert len(nas.requests) == 1 + 6_000 // 900
    assert caplog.text.count("restore the hosted credential in the portal") == 1
    nas.faults.clear()
    runtime.sleep(900)
    assert set(nas.armed()) == {"j1"}
    assert not jobs.status.fatal_error
    assert jobs.wait(jobs.request(), 60)


def test_a_sign_that_the_agent_is_known_again_is_followed_at_once(
    jobs: Jobs, nas: InMemoryNas, runtime: VirtualRuntime
) -> None:
    nas.fail_next(403, times=2)
    assert not jobs.wait(jobs.request(), 60)
    assert not jobs.wait(jobs.try_again(), 60)
    assert len(nas.requests) == 2
    assert jobs.wait(jobs.try_again(), 60)
    assert set(nas.armed()) == {"j1"}
    assert jobs.began == [0, 0, 0]


def test_such_a_sign_does_not_end_the_patience_that_nas_asked_for(
    jobs: Jobs, nas: InMemoryNas, runtime: VirtualRuntime
) -> None:
    nas.fail_next(403)
    nas.fail_next(429, headers={"Retry-After": "40"})
    assert not jobs.wait(jobs.request(), 60)
    jobs.try_again()
    runtime.sleep(1)
    jobs.try_again()
    runtime.sleep(38)
    assert jobs.began == [0, 0]
    runtime.sleep(10)
    assert set(nas.armed()) == {"j1"}


def test_what_a_configuration_forbids_is_looked_at_again(
    jobs: Jobs, nas: InMemoryNas, runtime: VirtualRuntime
) -> None:
    jobs.problem = ConfigurationError("verify: no such file")
    assert not jobs.wait(jobs.request(), 60)
    assert jobs.status.fatal_error
    jobs.problem = None
    runtime.sleep(900)
    assert set(nas.armed()) == {"j1"}


def test_one_that_was_stopped_sends_nothing_whatever_the_sign(
    jobs: Jobs, nas: InMemoryNas, runtime: VirtualRuntime
) -> None:
    jobs.stop()
    assert not jobs.wait(jobs.try_again(), 60)
    jobs.arm("j1", AT)
    runtime.sleep(3_600)
    assert nas.requests == []
