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
from .front import Front
from .hosts import Generation
from .mishaps import Mishaps
from .process import OsProcess
from .store import Store

if TYPE_CHECKING:
    from .world import World

SWEEP_SECONDS: Final = 300.0
HOMES: Final = (Path("/nowhere/agent"), Path("/nowhere/agent/profiles/second"))


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
    rollback_seconds: float = 0.0
    """How long after the claim that is."""
    notifies: bool = True
    """Whether the operating system tells of changes of files."""


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
        self.wakes = 0
        """How often it was started."""
        self._on_since = self._engine.now
        self._awake = 0.0
        self.mishaps = Mishaps(world, self)
        self.front = Front(world, self)

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
        self.is_on, self._on_since = True, self._engine.now
        self.wakes += 1
        self.touch()
        self._world.story.tell("front", "the machine is up")
        for kind in self.shape.servers:
            if not (kind == "gateway" and self.mishaps.is_gateway_stopped):
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
        self._awake, self.is_on = self.awake_seconds(), False
        processes, self.processes = self.processes, []
        for process in processes:
            self._engine.kill(process)
            process.on_killed()

    def awake_seconds(self) -> float:
        """For how long it has been on so far, in all."""
        return self._awake + (self._engine.now - self._on_since if self.is_on else 0.0)

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
                self.front.sweep(process)

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
            self._engine.at(self._engine.now + wait, lambda: self.restart(process.kind))

    def restart(self, kind: str) -> None:
        """Start a server on a machine that is on, unless it runs or is not to."""
        stopped = kind == "gateway" and self.mishaps.is_gateway_stopped
        if self.is_on and not stopped and self.server(kind) is None:
            self.serve(kind)

    def server(self, kind: str) -> OsProcess | None:
        """The server of a kind that runs now."""
        return next((each for each in self.processes if each.kind == kind), None)
