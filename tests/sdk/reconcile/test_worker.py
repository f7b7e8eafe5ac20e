"""A worker by itself: what survives what its act raises."""

import threading
from collections.abc import Iterator

import pytest

from nas_sdk.reconcile.worker import Worker
from tests.support.virtual_runtime import VirtualRuntime


@pytest.fixture
def runtime() -> Iterator[VirtualRuntime]:
    virtual = VirtualRuntime()
    yield virtual
    virtual.close()


def test_an_act_that_raises_ends_its_thread_and_not_the_worker(
    runtime: VirtualRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threading, "excepthook", lambda *_: None)  # it is meant to
    served: list[int] = []

    def act(ticket: int) -> None:
        served.append(ticket)
        if len(served) == 1:
            raise ValueError("a bug")
        worker.complete(ticket)

    worker = Worker(act, runtime, "worker")
    worker.request()
    runtime.sleep(1)
    ticket = worker.request()
    assert worker.wait(ticket, 1)
    assert served == [1, 2]


def test_one_that_was_stopped_keeps_nobody_waiting(runtime: VirtualRuntime) -> None:
    worker = Worker(lambda ticket: None, runtime, "worker")
    ticket = worker.request(600)
    worker.stop()
    before = runtime.time()
    assert not worker.wait(ticket, 60)
    assert runtime.time() == before
