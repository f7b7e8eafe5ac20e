"""One process of the operating system: its threads, its seams, and the provider in it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from nas_sdk.reconcile import Runtime

from .chaos import CRASHES
from .engine import Condition, Owner
from .store import Job, Store

if TYPE_CHECKING:
    from .world import World

DEBOUNCE_SECONDS: Final = 0.3
"""What file notification waits for more changes."""


class Brain(Protocol):
    """A cron provider in one process, as hermes calls it."""

    def start(self) -> None:
        """Hermes starts its scheduler here."""

    def verified(self) -> None:
        """A fire's token was good."""

    def fire(self, job_id: str) -> object:
        """A fire, in a thread of its own, after NAS has its answer."""

    def claim(self, job_id: str, **how: bool) -> Any:
        """The first half of a fire, before NAS has its answer; None for a duplicate.

        `how` has `force` or `manual` for a person's.
        """

    def run_claimed(self, claimed: Any) -> object:
        """The second half."""

    def rolled_back(self, claimed: Any) -> None:
        """Instead of it: the claim was taken back."""

    def changed(self) -> None:
        """Somebody changed a job in this process."""

    def created(self, job: Job) -> None:
        """Somebody made a job in this process. May raise RuntimeError."""

    def reconcile(self) -> None:
        """Somebody asked for a converge."""


class OsProcess(Owner):
    """One process: its threads, its seams, the provider in it."""

    def __init__(self, world: World, kind: str, home: Path) -> None:
        number = world.count(kind)
        super().__init__(f"{kind} {number}")
        self.world = world
        self.kind = kind
        self.home = home
        self.busy = 0
        self.warned = False
        self.read_at: dict[Path, float] = {}
        """When its provider last looked at the store of each home."""
        self.listed: frozenset[str] = frozenset()
        """What NAS's last list told it."""
        self.on_killed: Callable[[], object] = lambda: None
        """Called when it dies before its time."""
        self.runtime = SimulatedRuntime(self)
        self.brain: Brain = world.driver(self)

    def step(self) -> None:
        """A step of I/O begins here: others may come first, and this process may die.

        It dies before the step has its effect, or right after.
        """
        world = self.world
        kind = world.chaos.fault("step", world.engine.now) if self.alive else None
        if kind in CRASHES:
            self._crash(kind)
        world.engine.rest(world.chance.random() * 0.004)
        if kind and kind not in CRASHES:
            world.engine.at(world.engine.now, lambda: self._crash(kind))

    def _crash(self, kind: str) -> None:
        if kind.startswith("machine"):
            self.world.machine.crash_all()
        elif self.alive:
            self.world.machine.crash(self)

    def work_on(self, home: Path) -> None:
        """Have the calling thread work on a home."""
        self.world.engine.current.context = home

    def current_home(self) -> Path:
        """The home that the calling thread works on."""
        home = self.world.engine.current.context
        return home if isinstance(home, Path) else self.home

    def store(self) -> Store:
        """The store of that home, at the beginning of a step of I/O."""
        self.step()
        return self.world.machine.stores[self.current_home()]

    def background(self, target: Callable[[], object], name: str) -> None:
        """Work that the front knows of."""

        def work() -> None:
            self.busy += 1
            try:
                target()
            finally:
                self.busy -= 1
                self.world.machine.touch()

        self.world.engine.spawn(self, work, name)


class SimulatedRuntime(Runtime):
    """Time and threads of one process."""

    def __init__(self, process: OsProcess) -> None:
        self._process = process
        self._engine = process.world.engine

    def time(self) -> float:
        return self._process.world.machine.clock()

    def monotonic(self) -> float:
        return self._engine.now

    def sleep(self, seconds: float) -> None:
        self._engine.rest(seconds)

    def condition(self) -> Any:
        return Condition(self._engine)

    def spawn(self, target: Callable[[], object], name: str) -> None:
        self._engine.spawn(self._process, target, name)

    def changes(self, file: Path, stopped: threading.Event) -> Iterator[object]:
        machine = self._process.world.machine
        if not machine.shape.notifies:
            raise OSError("no watches are left")
        home = file.parent.parent
        seen = machine.saves[home]
        while not stopped.is_set():
            while machine.saves[home] == seen:
                machine.saved[home].wait()
            self._engine.rest(DEBOUNCE_SECONDS)
            seen = machine.saves[home]
            yield file
