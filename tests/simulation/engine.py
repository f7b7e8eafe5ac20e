"""Virtual time and threads that take turns: what happens is decided by the seed alone.

Real threads run the real code, one at a time. One that waits, sleeps or does I/O hands its
turn to whoever is due next, and time jumps there. Threads are kept for the next world,
because starting one costs more than all its turns.
"""

from __future__ import annotations

import functools
import heapq
import itertools
import math
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

Call = Callable[[], object]


class Killed(BaseException):
    """Unwinds a thread whose process has died. Nothing it does on its way has any effect."""


class Owner:
    """What threads belong to and die with: a process of the operating system."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.alive = True


class Task:
    """One thread of one owner."""

    def __init__(self, owner: Owner, name: str, target: Call) -> None:
        self.owner = owner
        self.name = name
        self.target = target
        self.worker: _Worker | None = None
        self.turn = 0
        """Counts up with every turn it was promised; an older promise is void."""
        self.waits_on: Condition | None = None
        self.context: object = None
        """What a context variable would hold; not handed on to threads it starts."""
        self.claimed: Any = None
        """The job it has claimed, where the host has no other place for it."""


class Condition:
    """A `threading.Condition` of the virtual world. Needs no lock: turns do not overlap."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.waiting: list[Task] = []

    def __enter__(self) -> Condition:
        return self

    def __exit__(self, *exception: object) -> None:
        return None

    def wait(self, timeout: float | None = None) -> bool:
        return self._engine.rest(math.inf if timeout is None else timeout, self)

    def wait_for(self, predicate: Callable[[], bool], timeout: float | None = None) -> bool:
        end = self._engine.now + (math.inf if timeout is None else timeout)
        while not (met := predicate()) and self._engine.now < end:
            self.wait(end - self._engine.now)
        return met

    def notify_all(self) -> None:
        tasks, self.waiting = self.waiting, []
        for task in tasks:
            task.waits_on = None
            self._engine.promise(task, self._engine.now)


class Engine:
    """The turns of one world. The thread that makes it is its first task."""

    def __init__(self, start: float) -> None:
        self.now = start
        self.failures: list[BaseException] = []
        """What no real code raised: mistakes of the simulation itself."""
        self._heap: list[tuple[float, int, Task | Call, int]] = []
        self._order = itertools.count()
        self._tasks: set[Task] = set()
        self._main = Task(Owner("world"), "world", lambda: None)
        self._main.worker = _Worker()
        self.current = self._main
        self._nobody = Task(Owner("nobody"), "nobody", lambda: None)

    def at(self, when: float, call: Call) -> None:
        """Have something happen; it must not wait for anything."""
        heapq.heappush(self._heap, (max(when, self.now), next(self._order), call, 0))

    def spawn(self, owner: Owner, target: Call, name: str) -> None:
        """Start a thread; one of a dead owner never runs."""
        if owner.alive:
            task = Task(owner, name, target)
            self._tasks.add(task)
            self.promise(task, self.now)

    def promise(self, task: Task, when: float) -> None:
        """Give a task its next turn then, instead of when it was promised before."""
        task.turn += 1
        heapq.heappush(self._heap, (when, next(self._order), task, task.turn))

    def rest(self, seconds: float, condition: Condition | None = None) -> bool:
        """Let others have their turns; tells whether a notification ended this."""
        task = self.current
        assert task.worker is not None, "what merely happens cannot wait"
        if not task.owner.alive:
            raise Killed
        when = self.now + seconds
        if condition is None and not (self._heap and self._heap[0][0] <= when):
            self.now = when
            return False
        task.waits_on = condition
        if condition is not None:
            condition.waiting.append(task)
        if when < math.inf:
            self.promise(task, when)
        self._pass_turn(task)
        notified = condition is not None and task.waits_on is None
        if task.waits_on is not None:
            task.waits_on.waiting.remove(task)
            task.waits_on = None
        if not task.owner.alive:
            raise Killed
        return notified

    def kill(self, owner: Owner) -> None:
        """End all threads of an owner where they are."""
        owner.alive = False
        for task in [each for each in self._tasks if each.owner is owner]:
            if task.worker is None:
                self._tasks.discard(task)
                task.turn += 1
            elif task is not self.current:
                self.promise(task, self.now)

    def threads(self, owner: Owner) -> Counter[str]:
        """How many threads of each name are under way."""
        return Counter(task.name for task in self._tasks if task.owner is owner)

    def has_thread(self, owner: Owner, name: str) -> bool:
        """Whether a thread of that name is under way."""
        return any(task.owner is owner and task.name == name for task in self._tasks)

    def close(self) -> None:
        """Kill everybody and wait until they are gone."""
        for owner in {task.owner for task in self._tasks}:
            self.kill(owner)
        while self._tasks:
            self.rest(0.001)

    def _pass_turn(self, task: Task | None) -> None:
        """Give the turn away; returns when `task` has it again, at once if there is none."""
        while True:
            when, _, thing, turn = heapq.heappop(self._heap)
            if not isinstance(thing, Task):
                self.now = max(self.now, when)
                self._happen(thing)
                continue
            if turn != thing.turn:
                continue
            self.now = max(self.now, when)
            self.current = thing
            if thing is task:
                return
            if thing.worker is None:
                thing.worker = _Worker.free()
                thing.worker.job = functools.partial(self._run, thing)
            thing.worker.gate.release()
            if task is not None:
                assert task.worker is not None
                task.worker.gate.acquire()
            return

    def _happen(self, call: Call) -> None:
        self.current = self._nobody
        try:
            call()
        except Exception as error:
            self.failures.append(error)

    def _run(self, task: Task) -> None:
        try:
            task.target()
        except Killed:
            pass
        except Exception as error:
            self.failures.append(error)
        self._tasks.discard(task)
        assert task.worker is not None
        _Worker.idle.append(task.worker)
        self._pass_turn(None)


class _Worker:
    """A real thread, used by one task after the other."""

    idle: list[_Worker] = []  # noqa: RUF012 - one stock for all worlds of this process

    def __init__(self) -> None:
        self.gate = threading.Lock()
        self.gate.acquire()
        self.job: Call | None = None

    @classmethod
    def free(cls) -> _Worker:
        if cls.idle:
            return cls.idle.pop()
        worker = cls()
        threading.Thread(target=worker._work, name="simulated", daemon=True).start()
        return worker

    def _work(self) -> None:
        while True:
            self.gate.acquire()
            job: Any = self.job
            job()
