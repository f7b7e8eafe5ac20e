"""One world: an agent, its NAS, its people and its faults, all of it from one seed."""

from __future__ import annotations

import functools
import logging
import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import attrs

from chronos_plugin import profiles, prompt, scheduler, store_marks

from . import people, promises
from .chaos import PlacedChaos
from .engine import Engine
from .ledger import Ledger
from .machine import Machine
from .nas import SimulatedNas
from .ours import NoKeys, Ours, Prompt
from .process import Brain, OsProcess
from .scene import Scene, draw
from .story import Story

QUIET_SECONDS: Final = 1200.0
"""How long after the last fault and the last deed everything must be in order."""
SPENT_SECONDS: Final = 4200.0
"""The same where the last fault met the fire of the watchdog: the second one is an hour later."""
CALM_SECONDS: Final = 90.0
"""The same where nothing ever failed."""
LOOK_SECONDS: Final = 60.0
"""How long before the end those look for the first time, and how soon the others do."""
FAILED_SHARE: Final = 0.15
"""The share of runs that fail."""
Driver = Callable[[OsProcess], Brain]


@attrs.frozen
class Result:
    """How a seed went."""

    seed: int
    strands: list[str]
    doubles: list[str]
    others: list[str]
    """Promises broken in another way."""
    faults: Counter[str]
    runs: int
    requests: int
    events: int
    """What may cost requests: fires, deeds, starts."""
    story: Story = attrs.field(repr=False)

    @property
    def ok(self) -> bool:
        return not (self.strands or self.doubles or self.others)


class World:
    """Everything there is. `driver` puts a provider into a process."""

    def __init__(self, scene: Scene | int, driver: Driver = Ours, *, told: bool = False) -> None:
        """A seed stands for the scene that is drawn from it.

        told: have the story hold what the plugin logs, too.
        """
        self.scene = scene if isinstance(scene, Scene) else draw(scene)
        self.shape = self.scene.shape
        self.driver = driver
        self.chance = random.Random(f"chance {self.scene.seed}")
        self.engine = Engine(self.scene.start)
        self.story = Story(lambda: self.engine.now)
        self.chaos = self.scene.make_chaos(self.chance)
        self.nas = SimulatedNas(self)
        self.machine = Machine(self, self.shape)
        self.ledger = Ledger(self)
        self.people = people.People(self)
        self.events = 0
        self.failures: Iterator[bool] | None = None
        """Which of the runs to come fail; drawn if None."""
        self.version = 0
        """How often anything changed outside of the memory of processes."""
        if isinstance(self.chaos, PlacedChaos):
            self.chaos.moment = self._moment
        self._is_told = told
        self._was_watchdog_spent = False
        self._counts: Counter[str] = Counter()
        self._last_event = self.engine.now

    def run(self) -> Result:
        """Live through it all."""
        random.seed(self.scene.seed)
        with _plugin_talks_to(self, told=self._is_told):
            try:
                return self._live()
            finally:
                self.engine.close()
                for failure in self.engine.failures:
                    raise failure

    def _live(self) -> Result:
        self.story.tell("world", "{}: {}", self.scene.name, self.shape)
        self.story.tell("world", "faults: {}", self.chaos.plan)
        for home in self.machine.homes:
            self.people.set_up(home, self.scene.jobs)
        self.people.plan(self.scene.deeds)
        self._plan_disasters()
        self.scene.script(self)
        self.engine.rest(self.scene.until - self.engine.now)
        strands = self._wait_for_order()
        requests, events = self.nas.requests, self.events
        others = self.ledger.forbidden.copy()
        self.chaos.close()
        if not strands and self.scene.converges_twice:
            others += promises.second_converge(self)
        others += promises.requests(self, requests, events)
        others += promises.wakes(self) + promises.threads(self)
        return Result(
            self.scene.seed,
            strands,
            self.ledger.doubles,
            others,
            self.chaos.counts,
            self.ledger.runs,
            requests,
            events,
            self.story,
        )

    def _wait_for_order(self) -> list[str]:
        """What is out of order at the latest that is allowed; nothing once all is in order."""
        while True:
            last = max(self._last_event, self.chaos.last)
            end = last + self._patience()
            late = self.scene.is_patient and self.chaos.counts
            first = end - LOOK_SECONDS if late else last + LOOK_SECONDS
            if self.engine.now < first:
                self.engine.rest(first - self.engine.now)
                continue
            problems = promises.disorder(self)
            at_rest = not problems and not promises.is_running_anything(self)
            if at_rest or self.engine.now >= end:
                break
            self.engine.rest(20)
        for problem in problems:
            self.story.tell("PROMISE", "{}", problem)
        return problems

    def _patience(self) -> float:
        # Also once it is armed again: what that sets off is under way then.
        self._was_watchdog_spent |= promises.is_watchdog_spent(self)
        if self._was_watchdog_spent:
            return SPENT_SECONDS
        return QUIET_SECONDS if self.chaos.counts else CALM_SECONDS

    def _plan_disasters(self) -> None:
        for at in self.chaos.plan.forgets:
            self.engine.at(at, self.forget)
        for at, skew in self.chaos.plan.jumps:
            self.engine.at(at, functools.partial(self._jump, skew))
        for at in self.chaos.plan.pauses:
            self.engine.at(at, self.machine.mishaps.pause)
        for start, end in self.chaos.plan.outages:
            self.engine.at(start, functools.partial(self.chaos.note, "NAS down", end))

    def forget(self) -> None:
        """NAS loses its state; what it lost comes back with the next converge."""
        self.story.tell("NAS", "forgets everything")
        self.chaos.note("NAS forgets", self.engine.now)
        self.nas.forget()
        self.engine.at(self.engine.now + self.chance.uniform(1, 300), self.people.converge)

    def _jump(self, skew: float) -> None:
        self.story.tell("agent", "its clock is {:+.1f} s off from now on", skew)
        self.chaos.note("clock jump", self.engine.now)
        self.machine.skew = skew

    # For those who live in it.

    def count(self, kind: str) -> int:
        """1, 2, 3, … for each kind."""
        self._counts[kind] += 1
        return self._counts[kind]

    def new_job_id(self) -> str:
        return f"{self.count('job'):012x}"

    def note_event(self) -> None:
        """Somebody does something."""
        self.events += 1
        self._last_event = self.engine.now

    def changed(self) -> None:
        """Something changed that outlives a process."""
        self.version += 1

    def _moment(self) -> tuple[str, int, int]:
        return self.engine.current.owner.name, self.version, int(self.engine.now)

    def draw_failure(self) -> bool:
        """Whether a run fails."""
        if self.failures is not None:
            return next(self.failures, False)
        return self.chance.random() < FAILED_SHARE

    def draw_run_seconds(self) -> float:
        """Most runs are short; some outlast a claim."""
        if self.scene.run_seconds is not None:
            return self.scene.run_seconds
        chance = self.chance.random()
        return self.chance.uniform(200, 900) if chance < 0.06 else self.chance.uniform(0.1, 20)


class _Listener(logging.Handler):
    def __init__(self, world: World) -> None:
        super().__init__(logging.INFO)
        self._world = world

    def emit(self, record: logging.LogRecord) -> None:
        owner = self._world.engine.current.owner
        if owner.alive and isinstance(owner, OsProcess):
            self._world.story.tell(owner.name, "log: {}", record.getMessage())


@contextmanager
def _plugin_talks_to(world: World, *, told: bool) -> Iterator[None]:
    """Have what the plugin logs and prints go into the story."""

    def warn(text: str) -> None:
        owner = world.engine.current.owner
        if isinstance(owner, OsProcess):
            owner.warned = True
            world.story.tell(owner.name, "prints: {}", text.strip())

    loggers = [logging.getLogger(name) for name in ("cron.chronos", "nas_sdk")]
    before = [(each, each.level, each.propagate) for each in loggers]
    listener = _Listener(world)
    seen, empty = set[Path](), set[Path]()

    def store_seen(home: Path) -> None:
        seen.add(home)
        empty.discard(home)

    marks = {
        "store_seen": store_seen,
        "was_store_seen": seen.__contains__,
        "store_believed_empty": empty.add,
        "is_believed_empty": empty.__contains__,
    }
    replaced = [
        (vars(module)[name], module, name, put)
        for module in (store_marks, profiles, scheduler, prompt)
        for name, put in {**marks, "sys": Prompt(warn), "keys": NoKeys}.items()
        if name in vars(module)
    ]
    for _, module, name, put in replaced:
        setattr(module, name, put)
    for each in loggers:
        each.addHandler(listener)
        each.setLevel(logging.INFO if told else logging.CRITICAL)
        each.propagate = False
    try:
        yield
    finally:
        for usual, module, name, _ in replaced:
            setattr(module, name, usual)
        for each, level, propagate in before:
            each.removeHandler(listener)
            each.setLevel(level)
            each.propagate = propagate
