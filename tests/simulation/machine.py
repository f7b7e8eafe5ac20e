"""The agent's machine: processes with hermes in them, behind a front that wakes it.

The front boots the machine for a fire or for a person, and stops it when nothing came in
and nothing ran for a while. Stopping is as sudden as a crash.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

import attrs

from .engine import Condition
from .process import OsProcess
from .store import Store

if TYPE_CHECKING:
    from .world import World

Answer = Callable[[int | None], None]
HOMES: Final = (Path("/nowhere/agent"), Path("/nowhere/agent/profiles/second"))
FATAL_SECONDS: Final = 0.01
"""How soon a fire kills the process that got it: before, while or after it claims the job."""


@attrs.frozen
class Shape:
    """How an agent is set up."""

    servers: tuple[str, ...]
    """`gateway` starts its scheduler and serves one home; `dashboard` serves all homes and
    starts nothing. With both, the dashboard gets the fires."""
    homes: int
    two_phases: bool
    executions: bool
    """Whether hermes records who runs what (not in 0.18)."""
    idle_seconds: float
    boot_seconds: float
    skew: float
    """How far the agent's clock is off, in seconds."""
    always_on: bool
    """Never stopped, started again after a crash, and without a watchdog."""


class Machine:
    """One machine with the homes of all profiles on it."""

    def __init__(self, world: World, shape: Shape) -> None:
        self._world = world
        self._engine = world.engine
        self.shape = shape
        self.skew = shape.skew
        self.homes = HOMES[: shape.homes]
        self.stores = {
            home: Store(home, self.clock, zone=world.chance.randrange(3)) for home in self.homes
        }
        self.saves = dict.fromkeys(self.homes, 0)
        self.saved = {home: Condition(self._engine) for home in self.homes}
        for home, store in self.stores.items():
            store.on_save = functools.partial(self._on_save, home)
        self.is_on = False
        self.processes: list[OsProcess] = []
        self._waiting: list[Callable[[], None]] | None = None
        self._touched = 0.0

    def clock(self) -> float:
        """The agent's clock, in seconds since the epoch."""
        return self._engine.now + self.skew

    def _on_save(self, home: Path) -> None:
        self.saves[home] += 1
        self.saved[home].notify_all()

    # Power.

    def wake(self, then: Callable[[], None]) -> None:
        """Do something once the machine is on."""
        self.touch()
        if self.is_on:
            then()
        elif self._waiting is None:
            self._waiting = [then]
            self._engine.at(self._engine.now + self.shape.boot_seconds, self._booted)
        else:
            self._waiting.append(then)

    def _booted(self) -> None:
        waiting, self._waiting = self._waiting or [], None
        self.is_on = True
        self.touch()
        self._world.story.tell("front", "the machine is up")
        for kind in self.shape.servers:
            self.serve(kind)
        for each in waiting:
            each()

    def crash_all(self) -> None:
        """The machine dies."""
        self.power_off("crashes")
        if self.shape.always_on:
            self.wake(lambda: None)

    def power_off(self, why: str) -> None:
        """Everything on the machine ends where it is."""
        self._world.story.tell("front", "the machine {}", why)
        self.is_on = False
        processes, self.processes = self.processes, []
        for process in processes:
            self._engine.kill(process)
            process.on_killed()

    def touch(self) -> None:
        """Something came in, or something ended."""
        self._touched = self._engine.now
        if not self.shape.always_on:
            self._engine.at(self._engine.now + self.shape.idle_seconds, self._look)

    def _look(self) -> None:
        idle = self._engine.now - self._touched >= self.shape.idle_seconds - 0.001
        working = any(each.busy or each.kind == "command" for each in self.processes)
        if self.is_on and idle and not working:
            self.power_off("stops, idle")

    # Processes.

    def serve(self, kind: str) -> None:
        """Start a server."""
        process = OsProcess(self._world, kind, self.homes[0])
        self.processes.append(process)
        if kind == "gateway":
            self._world.events += 1
            process.background(process.brain.start, "start")

    def command(self, home: Path) -> OsProcess:
        """A process for a command at the prompt."""
        process = OsProcess(self._world, "command", home)
        self.processes.append(process)
        return process

    def end(self, process: OsProcess) -> None:
        """A process is over, with all its threads."""
        if process in self.processes:
            self.processes.remove(process)
        self._engine.kill(process)
        self.touch()

    def crash(self, process: OsProcess) -> None:
        """A process dies; a server is started again."""
        self._world.story.tell(process.name, "is killed")
        self.end(process)
        process.on_killed()
        if process.kind != "command":
            wait = self._world.chance.uniform(0.5, 8)
            self._engine.at(self._engine.now + wait, lambda: self._restart(process.kind))

    def _restart(self, kind: str) -> None:
        if self.is_on and not any(each.kind == kind for each in self.processes):
            self.serve(kind)

    # Fires.

    def receive(self, job_id: str, fire_at: str, answer: Answer) -> None:
        """NAS posts a fire."""
        self.wake(lambda: self._route(job_id, fire_at, answer))

    def _route(self, job_id: str, fire_at: str, answer: Answer) -> None:
        servers = [each for each in self.processes if each.kind == self.shape.servers[-1]]
        if not servers:
            self._world.story.tell("front", "fire of {}: nobody listens", job_id)
            answer(None)
            return
        self._world.events += 1
        process = servers[0]
        self._world.story.tell(process.name, "fire of {} for {}", job_id, fire_at)
        process.brain.verified()
        home = process.home
        if process.kind == "dashboard":
            homes = [home for home in self.homes if job_id in self.stores[home].records]
            if not homes:
                answer(200)
                return
            home = homes[0]
        self._fire(process, home, job_id, answer)

    def _fire(self, process: OsProcess, home: Path, job_id: str, answer: Answer) -> None:
        def fire() -> None:
            process.work_on(home)
            process.brain.fire(job_id)

        def claim_and_run() -> None:
            process.work_on(home)
            try:
                claimed = process.brain.claim(job_id)
            except Exception as error:
                self._world.story.tell(process.name, "fire of {}: 503, {}", job_id, error)
                answer(503)
                return
            answer(200 if claimed is None else 202)
            if claimed is not None:
                process.brain.run_claimed(claimed)

        if self.shape.two_phases:
            process.background(claim_and_run, f"fire of {job_id}")
        else:
            process.background(fire, f"fire of {job_id}")
            answer(202)
        if self._world.chaos.strikes("killed by a fire", self._engine.now):
            later = self._engine.now + self._world.chance.random() * FATAL_SECONDS
            self._engine.at(later, lambda: self._kill(process))

    def _kill(self, process: OsProcess) -> None:
        if process.alive:
            self.crash(process)
