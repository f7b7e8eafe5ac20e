"""One thread follows a file, and can be started again."""

import logging
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from nas_sdk.reconcile.file_watcher import FileWatcher
from tests.support.virtual_runtime import VirtualRuntime


@pytest.fixture
def runtime() -> Iterator[VirtualRuntime]:
    virtual = VirtualRuntime()
    yield virtual
    virtual.close()


def test_a_file_is_followed_by_one_thread(runtime: VirtualRuntime) -> None:
    stopped, file, changes = threading.Event(), Path("/somewhere/jobs.json"), list[int]()
    watcher = FileWatcher(runtime, logging.getLogger("nas_sdk"))

    def follow() -> None:
        watcher.follow(file, stopped, lambda: changes.append(1))

    follow()
    follow()
    runtime.sleep(1)
    assert runtime.spawned == ["nas-changes"]
    runtime.touch(file)
    runtime.sleep(1)
    assert changes == [1]
    stopped.set()
    runtime.touch(file)
    runtime.sleep(1)
    follow()
    assert runtime.spawned.count("nas-changes") == 2


def test_one_that_could_not_be_started_can_be_started_later(
    runtime: VirtualRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    watcher = FileWatcher(runtime, logging.getLogger("nas_sdk"))
    file = Path("/somewhere/jobs.json")

    def spawn(target: object, name: str) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as full:
        full.setattr(runtime, "spawn", spawn)
        with pytest.raises(RuntimeError):
            watcher.follow(file, threading.Event(), lambda: None)
    watcher.follow(file, threading.Event(), lambda: None)
    assert runtime.spawned == ["nas-changes"]
