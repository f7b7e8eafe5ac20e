"""The agent's machine: processes with hermes in them, behind a front that wakes it.

The front boots the machine for a fire or for a person, and stops it when nothing came in
and nothing ran for a while. Stopping is as sudden as a crash.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

import attrs

from nas_sdk.protocol.one_shot import due_ms

from . import promises
from .engine import Condition
from .hosts import Generation
from .process import OsProcess
from .store import Store

if TYPE_CHECKING:
    from .world import World


class Answer(Protocol):
    """How NAS gets the answer to a fire."""

    def __call__(self, status: int | None, retry_after: int | None = None) -> None:
        """None: there is none."""


RETRY_AFTER: Final = 60
REARM_SECONDS: Final = 65.0
"""How long it may take until a job is armed again whose claim was taken back."""
SWEEP_SECONDS: Final = 300.0
OVERDUE_SECONDS: Final = 600.0
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
    host: Generation
    idle_seconds: float
    boot_seconds: float
    skew: float
    """How far the agent's clock is off, in seconds."""
    always_on: bool
    """Never stopped, started again after a crash, and without a watchdog."""
    starts_again: bool = False
    """A gateway starts its scheduler again every minute."""
    tells_rollback: bool = True
    """Whether a host that takes a claim back tells the provider."""


class Machine:
    """One machine with the homes of all profiles on it."""

    def __init__(self, world: World, shape: Shape) -> None:
        self._world = world
        self._engine = world.engine
        self.shape = shape
        self.skew = shape.skew
        self.homes = HOMES[: shape.homes]
        self.stores = {
            home: Store(home, self.clock, shape.host, zone=world.chance.randrange(3))
            for home in self.homes
        }
        self.saves = dict.fromkeys(self.homes, 0)
        self.saved = {home: Condition(self._engine) for home in self.homes}
        for home, store in self.stores.items():
            store.on_save = functools.partial(self._on_save, home)
            store.on_execution = world.changed
        self.is_on = False
        self.processes: list[OsProcess] = []
        self._waiting: list[Callable[[], None]] | None = None
        self._touched = 0.0
        self.is_paused = False
        """Somebody has hermes pause; the hosts that can refuse every fire then."""
        self._is_gateway_stopped = False
        self.rollbacks: Iterator[bool] = iter(())
        """Which of the claims to come are taken back."""
        self.refusals: list[tuple[float, float, str]] = []
        """From when until when claims of which job were refused."""

    def clock(self) -> float:
        """The agent's clock, in seconds since the epoch."""
        return self._engine.now + self.skew

    def _on_save(self, home: Path) -> None:
        self._world.changed()
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
            if not (kind == "gateway" and self._is_gateway_stopped):
                self.serve(kind)
        for each in waiting:
            each()

    def crash_all(self) -> None:
        """The machine dies."""
        self.power_off("crashes")
        if self.shape.always_on:
            self.wake(lambda: None)

    def stop_by_hand(self) -> None:
        """Somebody stops the machine, with whatever it is doing."""
        self._world.chaos.note("stopped by hand", self._engine.now)
        self.power_off("is stopped by hand")

    def power_off(self, why: str) -> None:
        """Everything on the machine ends where it is."""
        self._world.changed()
        self._world.story.tell("front", "the machine {}", why)
        self.is_on = False
        processes, self.processes = self.processes, []
        for process in processes:
            self._engine.kill(process)
            process.on_killed()

    def touch(self) -> None:
        """Something came in, or something ended."""
        self._world.changed()
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
        self._world.changed()
        process = OsProcess(self._world, kind, self.homes[0])
        self.processes.append(process)
        if kind == "gateway":
            self._start(process)
            if self.shape.host.two_phases:
                self._housekeep(process)

    def _start(self, process: OsProcess) -> None:
        """Hermes starts its scheduler; some builds do so again every minute."""
        if process.alive:
            self._world.events += 1
            process.background(process.brain.start, "start")
            if self.shape.starts_again:
                self._engine.at(self._engine.now + 60, lambda: self._start_again(process))

    def _start_again(self, process: OsProcess) -> None:
        if process.alive:
            self._world.events += 1
            self._engine.spawn(process, process.brain.start, "start")
            self._engine.at(self._engine.now + 60, lambda: self._start_again(process))

    def _housekeep(self, process: OsProcess) -> None:
        def housekeep() -> None:
            while True:
                self._engine.rest(SWEEP_SECONDS)
                self.sweep(process)

        self._engine.spawn(process, housekeep, "housekeeping")

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
        stopped = kind == "gateway" and self._is_gateway_stopped
        if self.is_on and not stopped and self._server(kind) is None:
            self.serve(kind)

    # What befalls the store.

    def lose(self, store: Store, fault: str) -> None:
        """The job store, or one record of it, cannot be read for a while."""
        if store.lost or store.unreadable or not store.jobs or self._is_unheard_of(store):
            return
        seconds = self._fault_seconds(fault)
        if fault == "record unreadable":
            store.unreadable = {self._world.chance.choice(sorted(store.jobs))}
            self._world.story.tell("store", "{} cannot be read", *store.unreadable)
        else:
            store.lost = fault.split()[-1]
            self._world.story.tell("store", "is {}", store.lost)
        store.lost_at = self._engine.now
        store.on_save()
        self._engine.at(self._engine.now + seconds, lambda: self._restore(store))

    def _is_unheard_of(self, store: Store) -> bool:
        """Whether somebody who made the first job died before anything could know of it."""
        died = any(self._world.chaos.counts[kind] for kind in promises.EXCUSES)
        return died and not self._world.nas.armed().keys() & store.jobs.keys()

    def _restore(self, store: Store) -> None:
        missed, store.lost, store.unreadable = store.lost != "gone", "", set()
        self._world.story.tell("store", "is there again")
        store.on_save()
        if missed:  # Who brings jobs back has them armed again.
            self._world.people.converge()

    def pause(self) -> None:
        """Somebody has hermes pause, and resume after a while. No provider is told."""
        self.is_paused = True
        self._world.story.tell("hermes", "is paused")
        until = self._engine.now + self._fault_seconds("hermes paused")
        self._engine.at(until, self._resume)

    def _resume(self) -> None:
        self.is_paused = False
        self._world.story.tell("hermes", "is resumed")

    def refuse_claims(self, store: Store, job_id: str) -> None:
        """Hermes refuses to run a job for a while, such as while its provider is over a limit."""
        now = self._engine.now
        if store.refused.get(job_id, 0.0) <= now:
            until = now + self._fault_seconds("claims refused")
            store.refused[job_id] = until
            self.refusals.append((now, until, job_id))
            self._world.story.tell("hermes", "refuses {} for {:.0f} s", job_id, until - now)

    def _fault_seconds(self, kind: str) -> float:
        seconds = self._world.chaos.seconds(kind)
        self._world.chaos.note(kind, self._engine.now + seconds)
        return seconds

    # Fires.

    def receive(self, job_id: str, fire_at: str, answer: Answer) -> None:
        """NAS posts a fire."""
        self.wake(lambda: self._route(job_id, fire_at, answer))

    def _route(self, job_id: str, fire_at: str, answer: Answer) -> None:
        """Verify the fire's token, and hand the fire to the process that is to run it."""
        process = self._server(self.shape.servers[-1])
        if process is None:
            self._world.story.tell("front", "fire of {}: nobody listens", job_id)
            answer(None)
            return
        self._world.events += 1
        self._world.story.tell(process.name, "fire of {} for {}", job_id, fire_at)
        process.brain.verified()
        if self.is_paused and self.shape.host.two_phases:
            answer(503, RETRY_AFTER)
        elif self.shape.host.two_phases and process.kind == "dashboard":
            self._forward(job_id, answer)
        else:
            self._serve_fire(process, job_id, answer)

    def _server(self, kind: str) -> OsProcess | None:
        return next((each for each in self.processes if each.kind == kind), None)

    def _forward(self, job_id: str, answer: Answer) -> None:
        """A dashboard has the gateway run the job, unless somebody stopped that."""
        if self._world.chaos.fault("forward", self._engine.now) and not self._is_gateway_stopped:
            self.stop_gateway()
        gateway = self._server("gateway")
        if self._is_gateway_stopped:
            answer(200)
        elif gateway is None:
            answer(503, RETRY_AFTER)
        else:
            gateway.brain.verified()
            self._serve_fire(gateway, job_id, answer)

    def stop_gateway(self) -> None:
        """Somebody stops it on purpose; a dashboard then tells NAS that a fire is done with."""
        self._is_gateway_stopped = True
        gateway = self._server("gateway")
        self._world.story.tell("front", "the gateway is stopped on purpose")
        if gateway is not None:
            self.end(gateway)
        until = self._engine.now + self._fault_seconds("gateway stopped")
        self._engine.at(until, self._start_gateway)

    def _start_gateway(self) -> None:
        """Somebody starts it again, on a machine that is on."""
        self._is_gateway_stopped = False
        self.wake(lambda: self._restart("gateway"))

    def _serve_fire(self, process: OsProcess, job_id: str, answer: Answer) -> None:
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
                self.run_claimed(process, claimed)

        if self.shape.host.two_phases:
            process.background(claim_and_run, f"fire of {job_id}")
        else:
            process.background(fire, f"fire of {job_id}")
            answer(202)
        if self._world.chaos.fault("handling", self._engine.now):
            later = self._engine.now + self._world.chance.random() * FATAL_SECONDS
            self._engine.at(later, lambda: self._kill(process))

    def _kill(self, process: OsProcess) -> None:
        if process.alive:
            self.crash(process)

    def run_claimed(self, process: OsProcess, claimed: Any) -> None:
        """The second phase of a fire, unless the host takes its claim back before."""
        fault = self._world.chaos.fault("claimed", self._engine.now) or next(self.rollbacks, False)
        if not (fault and self.shape.host.rolls_back):
            process.brain.run_claimed(claimed)
            return
        job_id = claimed["id"]
        self._world.story.tell(process.name, "takes the claim of {} back", job_id)
        rolled_back = process.store().roll_back(claimed)
        process.store().finish(job_id, process)
        now = self._engine.now
        self._engine.at(
            now + REARM_SECONDS,
            lambda: promises.rearmed(self._world, process, process.home, job_id, now),
        )
        if rolled_back and self.shape.tells_rollback:
            process.brain.rolled_back(claimed)

    def sweep(self, process: OsProcess) -> None:
        """Hermes's own catch-up: it runs recurring jobs whose fire is long overdue."""
        if self.is_paused:
            return
        late = self.clock() - OVERDUE_SECONDS
        for job_id, job in dict(process.store().records).items():
            at = job["next_run_at"]
            if job["every"] and Store.is_runnable(job) and at and due_ms(at) / 1000 <= late:
                claimed = process.brain.claim(job_id)
                if claimed is not None:
                    run = functools.partial(self.run_claimed, process, claimed)
                    process.background(run, f"fire of {job_id}")
