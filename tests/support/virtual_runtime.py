"""Threads in virtual time: one runs at a time, and time moves when all of them wait."""

import math
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from nas_sdk.reconcile import Runtime


class _Closed(BaseException):
    """Ends the threads that still wait when a test is over."""


class _Task:
    def __init__(self, wake: float) -> None:
        self.wake = wake
        self.waits_on: object = None


class VirtualCondition:
    """A condition for the threads of a `VirtualRuntime`."""

    def __init__(self, runtime: "VirtualRuntime") -> None:
        self._runtime = runtime

    def __enter__(self) -> "VirtualCondition":
        return self

    def __exit__(self, *exception: object) -> None:
        return None

    def wait(self, timeout: float | None = None) -> bool:
        return self._runtime.rest(math.inf if timeout is None else timeout, self)

    def wait_for(self, predicate: Callable[[], bool], timeout: float | None = None) -> bool:
        end = self._runtime.time() + (math.inf if timeout is None else timeout)
        while not predicate():
            left = end - self._runtime.time()
            if left <= 0:
                return predicate()
            self.wait(left)
        return True

    def notify_all(self) -> None:
        self._runtime.wake(self)


class VirtualRuntime(Runtime):
    """Time that moves only when every thread waits. The thread that makes one is one of them.

    Threads it did not start may use it too: their sleeps move time at once.
    """

    def __init__(self, start: float = 1_767_225_600.0) -> None:
        self._now = start
        self._gate = threading.Condition()
        self._tasks: list[_Task] = [_Task(start)]
        self._running: _Task = self._tasks[0]
        self._mine = threading.local()
        self._mine.task = self._running
        self._touched: dict[Path, VirtualCondition] = {}
        self._is_closed = False
        self.spawned: list[str] = []

    def time(self) -> float:
        return self._now

    def monotonic(self) -> float:
        return self._now

    def sleep(self, seconds: float) -> None:
        self.rest(seconds, None)

    def condition(self) -> Any:
        return VirtualCondition(self)

    def spawn(self, target: Callable[[], object], name: str) -> None:
        self.spawned.append(name)
        task = _Task(self._now)
        self._tasks.append(task)
        threading.Thread(target=self._run, args=(task, target), name=name, daemon=True).start()

    def changes(self, file: Path, stopped: threading.Event) -> Iterator[object]:
        condition = self._touched.setdefault(file, VirtualCondition(self))
        while not stopped.is_set():
            condition.wait()
            yield file

    def touch(self, file: Path) -> None:
        """Let those who follow a file notice a change, after what notification takes."""
        if file in self._touched:
            self.wake(self._touched[file], after=0.3)

    def rest(self, seconds: float, waits_on: object) -> bool:
        """Let the others run for a while; whether this was ended by a notification."""
        task = getattr(self._mine, "task", None)
        if task is None:
            self._now = max(self._now, self._now + seconds)
            return False
        task.wake, task.waits_on = self._now + seconds, waits_on
        self._switch(task)
        notified, task.waits_on = waits_on is not None and task.waits_on is None, None
        return notified

    def wake(self, waited_on: object, after: float = 0.0) -> None:
        for task in self._tasks:
            if task.waits_on is waited_on:
                task.wake, task.waits_on = self._now + after, None

    def close(self) -> None:
        """End every thread that still waits."""
        with self._gate:
            self._is_closed = True
            self._gate.notify_all()

    def _run(self, task: _Task, target: Callable[[], object]) -> None:
        self._mine.task = task
        try:
            self._await_turn(task)
            target()
        except _Closed:
            return
        finally:
            if not self._is_closed:
                self._tasks.remove(task)
                self._hand_over()

    def _switch(self, task: _Task) -> None:
        self._hand_over()
        self._await_turn(task)

    def _hand_over(self) -> None:
        """Let the thread run that waits least; those that wait equally long, in their order."""
        with self._gate:
            following = min(self._tasks, key=lambda task: task.wake)
            assert following.wake < math.inf, "every thread waits for ever"
            self._now = max(self._now, following.wake)
            self._running = following
            self._gate.notify_all()

    def _await_turn(self, task: _Task) -> None:
        with self._gate:
            self._gate.wait_for(lambda: self._running is task or self._is_closed)
            if self._is_closed:
                raise _Closed
            self._tasks.remove(task)
            self._tasks.append(task)
