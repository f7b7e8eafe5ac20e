"""What a world is before it begins: its agent, what goes wrong there and what people do."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import attrs

from . import chaos, people
from .chaos import Chaos
from .hosts import GENERATIONS, ONE_PHASE
from .machine import Shape
from .people import Deed

if TYPE_CHECKING:
    from .world import World

START: Final = 1_767_225_600.0
"""The beginning of 2026."""
ALWAYS_ON_SHARE: Final = 0.5
LEFT_ALONE_SHARE: Final = 0.25
"""The share of seeds in which nobody comes by who would notice that something is wrong."""
PATIENT_SHARE: Final = 0.15
"""The share of seeds that live on for all the time that order may take, even if it is there
sooner."""


@attrs.frozen
class Scene:
    """Everything that is decided before a world begins."""

    seed: int
    name: str
    start: float
    until: float
    """Until when things may happen."""
    shape: Shape
    make_chaos: Callable[[random.Random], Chaos]
    jobs: int = 1
    """How many jobs each home has at the beginning."""
    deeds: tuple[Deed, ...] = ()
    script: Callable[[World], object] = lambda world: None
    """What else is to happen, planned once the world is there."""
    is_patient: bool = False
    converges_twice: bool = True
    """Whether a second converge is tried in the end, which must write nothing."""
    run_seconds: float | None = None
    """How long every run takes; drawn for each if None."""


def draw(seed: int, *, one_phase: bool = False) -> Scene:
    """The scene of a seed. one_phase: only with a host that both providers run on."""
    plan = random.Random(f"plan {seed}")
    start = START + plan.random()
    shape = _shape(plan, one_phase=one_phase)
    until = start + plan.uniform(300, 1000)
    faults = chaos.draw(plan, start, until)
    is_left_alone = plan.random() < LEFT_ALONE_SHARE
    if is_left_alone:
        # These need somebody who brings back what is gone.
        kept = set(faults.chances) - {"store emptied", "record unreadable"}
        chances = {kind: faults.chances[kind] for kind in faults.chances if kind in kept}
        faults = attrs.evolve(faults, forgets=(), chances=chances)
    deeds = people.draw(plan, start + 60, until, shape.homes)
    return Scene(
        seed,
        f"seed {seed}",
        start,
        until,
        shape,
        lambda chance: Chaos(faults, chance),
        jobs=plan.choice((1, 1, 1, 2, 3)),
        deeds=() if is_left_alone else deeds,
        is_patient=plan.random() < PATIENT_SHARE,
    )


def _shape(plan: random.Random, *, one_phase: bool) -> Shape:
    host = plan.choice(ONE_PHASE if one_phase else (*ONE_PHASE, *GENERATIONS))
    choices = [("gateway",), ("gateway", "dashboard")]
    servers = plan.choice(choices if host.two_phases else [*choices, ("dashboard",)])
    # Without a watchdog it takes a gateway that gets the fires itself, and converges again
    # when it was killed with one in hand.
    always_on = servers == ("gateway",) and plan.random() < ALWAYS_ON_SHARE
    # A gateway alone, and every later host, serves one home.
    homes = 1 if servers == ("gateway",) or host.two_phases else plan.choice((1, 1, 2))
    return Shape(
        servers,
        homes,
        host,
        idle_seconds=plan.choice((5.0, 60.0, 120.0, 300.0)),
        boot_seconds=plan.uniform(1, 20),
        skew=plan.choice((0.0, plan.uniform(-20, 20), plan.choice((-20.0, 20.0)))),
        always_on=always_on,
        starts_again=host.two_phases and plan.random() < 0.3,
        tells_rollback=plan.random() < 0.5,
    )
