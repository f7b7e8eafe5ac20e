"""One world: an agent, its NAS, its people and its faults, all of it from one seed."""

from __future__ import annotations

import functools
import logging
import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import attrs

from chronos_plugin import scheduler

from . import chaos, people, promises
from .engine import Engine
from .ledger import Ledger
from .machine import Machine, Shape
from .nas import SimulatedNas
from .ours import NoKeys, Ours, Prompt
from .process import Brain, OsProcess
from .story import Story

START: Final = 1_767_225_600.0
"""The beginning of 2026."""
QUIET_SECONDS: Final = 1200.0
"""How long after the last fault and the last deed everything must be in order."""
CALM_SECONDS: Final = 90.0
"""The same where nothing ever failed."""
PATIENT_SHARE: Final = 0.15
"""The share of seeds that live on all that time, even if they are in order sooner."""
LOOK_SECONDS: Final = 60.0
"""How long before the end those look for the first time, and how soon the others do."""
ALWAYS_ON_SHARE: Final = 0.5
LEFT_ALONE_SHARE: Final = 0.25
"""The share of seeds in which nobody comes by who would notice that something is wrong."""
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

    def __init__(
        self, seed: int, driver: Driver = Ours, *, two_phases: bool = True, told: bool = False
    ) -> None:
        """`two_phases`: whether some seeds have a host that claims before it answers.

        told: have the story hold what the plugin logs, too.
        """
        plan = random.Random(f"plan {seed}")
        self.seed = seed
        self.driver = driver
        self.chance = random.Random(f"chance {seed}")
        self.engine = Engine(START + plan.random())
        self.story = Story(lambda: self.engine.now)
        self.shape = _shape(plan, two_phases=two_phases)
        until = self.engine.now + plan.uniform(300, 1000)
        faults = chaos.draw(plan, self.engine.now, until)
        is_left_alone = plan.random() < LEFT_ALONE_SHARE
        if is_left_alone:
            faults = attrs.evolve(faults, forgets=())
        self.chaos = chaos.Chaos(faults, self.chance)
        self.nas = SimulatedNas(self)
        self.machine = Machine(self, self.shape)
        self.ledger = Ledger(self)
        self.people = people.People(self)
        self.events = 0
        self._is_told = told
        self._counts: Counter[str] = Counter()
        self._is_patient = plan.random() < PATIENT_SHARE
        self._last_event = self.engine.now
        self._jobs = plan.choice((1, 1, 1, 2, 3))
        deeds = people.draw(plan, self.engine.now + 60, until, self.shape.homes)
        self._deeds = () if is_left_alone else deeds

    def run(self) -> Result:
        """Live through it all."""
        random.seed(self.seed)
        with _plugin_talks_to(self, told=self._is_told):
            try:
                return self._live()
            finally:
                self.engine.close()
                for failure in self.engine.failures:
                    raise failure

    def _live(self) -> Result:
        self.story.tell("world", "seed {}: {}", self.seed, self.shape)
        self.story.tell("world", "faults: {}", self.chaos.plan)
        for home in self.machine.homes:
            self.people.set_up(home, self._jobs)
        self.people.plan(self._deeds)
        self._plan_disasters()
        self.engine.rest(self.chaos.plan.until - self.engine.now)
        strands = self._wait_for_order()
        requests, events = self.nas.requests, self.events
        others = self.ledger.forbidden.copy()
        if not strands:
            others += promises.second_converge(self)
        others += promises.requests(requests, events, self.chaos.counts)
        return Result(
            self.seed,
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
            end = last + (QUIET_SECONDS if self.chaos.counts else CALM_SECONDS)
            late = self._is_patient and self.chaos.counts
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

    def _plan_disasters(self) -> None:
        for at in self.chaos.plan.forgets:
            self.engine.at(at, self._forget)
        for at, skew in self.chaos.plan.jumps:
            self.engine.at(at, functools.partial(self._jump, skew))
        for start, end in self.chaos.plan.outages:
            self.engine.at(start, functools.partial(self.chaos.note, "NAS down", end))

    def _forget(self) -> None:
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

    def draw_run_seconds(self) -> float:
        """Most runs are short; some outlast a claim."""
        chance = self.chance.random()
        return self.chance.uniform(200, 900) if chance < 0.06 else self.chance.uniform(0.1, 20)


def _shape(plan: random.Random, *, two_phases: bool) -> Shape:
    servers = plan.choice((("gateway",), ("dashboard",), ("gateway", "dashboard")))
    # Without a watchdog it takes a gateway that gets the fires itself, and converges again
    # when it was killed with one in hand.
    always_on = servers == ("gateway",) and plan.random() < ALWAYS_ON_SHARE
    homes = 1 if servers == ("gateway",) else plan.choice((1, 1, 2))
    draw = plan.random()
    return Shape(
        servers,
        homes,
        two_phases=two_phases and draw < 0.5 and servers == ("gateway",),
        executions=plan.random() < 0.8,
        idle_seconds=plan.choice((5.0, 60.0, 120.0, 300.0)),
        boot_seconds=plan.uniform(1, 20),
        skew=plan.choice((0.0, plan.uniform(-20, 20), plan.choice((-20.0, 20.0)))),
        always_on=always_on,
    )


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
    listener, usual = _Listener(world), {name: vars(scheduler)[name] for name in ("sys", "keys")}
    vars(scheduler).update(sys=Prompt(warn), keys=NoKeys)
    for each in loggers:
        each.addHandler(listener)
        each.setLevel(logging.INFO if told else logging.CRITICAL)
        each.propagate = False
    try:
        yield
    finally:
        vars(scheduler).update(usual)
        for each, level, propagate in before:
            each.removeHandler(listener)
            each.setLevel(level)
            each.propagate = propagate
