"""How a fire of NAS comes to the process that is to run its job, by the ways of each host."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from nas_sdk.protocol.one_shot import due_ms

from . import promises
from .store import Store

if TYPE_CHECKING:
    from .machine import Machine
    from .process import OsProcess
    from .world import World


class Answer(Protocol):
    """How NAS gets the answer to a fire."""

    def __call__(self, status: int | None, retry_after: int | None = None) -> None:
        """None: there is none."""


RETRY_AFTER: Final = 60
REARM_SECONDS: Final = 65.0
"""How long it may take until a job is armed again whose claim was taken back."""
OVERDUE_SECONDS: Final = 600.0
FATAL_SECONDS: Final = 0.01
"""How soon a fire kills the process that got it: before, while or after it claims the job."""


class Front:
    """What receives fires on one machine."""

    def __init__(self, world: World, machine: Machine) -> None:
        self._world = world
        self._engine = world.engine
        self._machine = machine
        self._mishaps = machine.mishaps

    def receive(self, job_id: str, fire_at: str, answer: Answer) -> None:
        """NAS posts a fire."""
        self._machine.wake(lambda: self._route(job_id, fire_at, answer))

    def _route(self, job_id: str, fire_at: str, answer: Answer) -> None:
        """Verify the fire's token, and hand the fire to the process that is to run it."""
        process = self._machine.server(self._machine.shape.servers[-1])
        if process is None:
            self._world.story.tell("front", "fire of {}: nobody listens", job_id)
            answer(None)
            return
        self._world.events += 1
        self._world.story.tell(process.name, "fire of {} for {}", job_id, fire_at)
        process.brain.verified()
        if self._mishaps.is_paused and self._machine.shape.host.two_phases:
            answer(503, RETRY_AFTER)
        elif self._machine.shape.host.two_phases and process.kind == "dashboard":
            self._forward(job_id, answer)
        else:
            self._serve_fire(process, job_id, answer)

    def _forward(self, job_id: str, answer: Answer) -> None:
        """A dashboard has the gateway run the job, unless somebody stopped that."""
        if (
            self._world.chaos.fault("forward", self._engine.now)
            and not self._mishaps.is_gateway_stopped
        ):
            self._mishaps.stop_gateway()
        gateway = self._machine.server("gateway")
        if self._mishaps.is_gateway_stopped:
            answer(200)
        elif gateway is None:
            answer(503, RETRY_AFTER)
        else:
            gateway.brain.verified()
            self._serve_fire(gateway, job_id, answer)

    def _serve_fire(self, process: OsProcess, job_id: str, answer: Answer) -> None:
        home = process.home
        if process.kind == "dashboard":
            homes = [
                home for home in self._machine.homes if job_id in self._machine.stores[home].records
            ]
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
                self.run_claimed(process, claimed)

        if self._machine.shape.host.two_phases:
            process.background(claim_and_run, f"fire of {job_id}")
        else:
            process.background(fire, f"fire of {job_id}")
            answer(202)
        if self._world.chaos.fault("handling", self._engine.now):
            later = self._engine.now + self._world.chance.random() * FATAL_SECONDS
            self._engine.at(later, lambda: self._kill(process))

    def _kill(self, process: OsProcess) -> None:
        if process.alive:
            self._machine.crash(process)

    def run_claimed(self, process: OsProcess, claimed: Any) -> None:
        """The second phase of a fire, unless the host takes its claim back before."""
        fault = self._world.chaos.fault("claimed", self._engine.now)
        is_taken_back = fault or next(self._mishaps.rollbacks, False)
        if not (is_taken_back and self._machine.shape.host.rolls_back):
            process.brain.run_claimed(claimed)
            return
        job_id = claimed["id"]
        if self._machine.shape.rollback_seconds:
            self._engine.rest(self._machine.shape.rollback_seconds)
        self._world.story.tell(process.name, "takes the claim of {} back", job_id)
        rolled_back = process.store().roll_back(claimed)
        process.store().finish(job_id, process)
        now = self._engine.now
        self._engine.at(
            now + REARM_SECONDS,
            lambda: promises.rearmed(self._world, process, process.home, claimed, now),
        )
        if rolled_back and self._machine.shape.tells_rollback:
            process.brain.rolled_back(claimed)

    def sweep(self, process: OsProcess) -> None:
        """Hermes's own catch-up: it runs recurring jobs whose fire is long overdue."""
        if self._mishaps.is_paused:
            return
        late = self._machine.clock() - OVERDUE_SECONDS
        for job_id, job in dict(process.store().records).items():
            at = job["next_run_at"]
            if job["every"] and Store.is_runnable(job) and at and due_ms(at) / 1000 <= late:
                try:
                    claimed = process.brain.claim(job_id)
                except Exception as error:
                    self._world.story.tell(process.name, "catch-up of {} failed: {}", job_id, error)
                    continue
                if claimed is not None:
                    run = functools.partial(self.run_claimed, process, claimed)
                    process.background(run, f"fire of {job_id}")
