"""What a job costs that its host refuses to run for hours: fires, wakes, time awake, requests."""

from __future__ import annotations

import functools
from typing import Any, Final

import attrs

from .chaos import PlacedChaos
from .hosts import BY_NAME
from .machine import Shape
from .scene import START, Scene
from .world import Driver, World

DUE_SECONDS: Final = 600.0
"""When the job is due, about, counted from the beginning."""
OTHERS_EVERY: Final = 180.0
MACHINES: Final[dict[str, dict[str, Any]]] = {
    "stops when idle": {"idle_seconds": 60.0},
    "other jobs keep it awake": {"idle_seconds": 300.0},
    "always on": {"always_on": True},
}


@attrs.frozen
class Cost:
    """Of the hours during which the job is refused."""

    machine: str
    host: str
    hours: float
    fires: int
    """Of the job that is refused."""
    wakes: int
    """How often the machine was started."""
    awake_seconds: float
    requests: int

    def row(self) -> str:
        """A line of the table, per hour."""
        counts = (self.fires, self.wakes, self.awake_seconds, self.requests)
        columns = "".join(f"{count / self.hours:>14.1f}" for count in counts)
        return f"{self.machine:<26}{self.host:<8}{columns}"


HEADER: Final = f"{'per hour':<34}{'fires':>14}{'wakes':>14}{'awake s':>14}{'requests':>14}"


def measure(machine: str, host: str, hours: float, driver: Driver, *, skew: float = 0.0) -> Cost:
    """Let a job be refused for so long from when it is due, and count what that costs.

    skew: how far the agent's clock is off, in seconds.
    """
    shape = {"idle_seconds": 60.0, "always_on": False, **MACHINES[machine]}
    found: list[Cost] = []
    end = START + DUE_SECONDS + hours * 3600

    def script(world: World) -> None:
        home = world.machine.homes[0]
        world.people.at_prompt(home, "create", every=DUE_SECONDS)
        if machine.startswith("other jobs"):
            world.people.at_prompt(home, "create", every=OTHERS_EVERY)
        world.engine.at(START + DUE_SECONDS, functools.partial(begin, world))

    def begin(world: World) -> None:
        store = world.machine.stores[world.machine.homes[0]]
        job_id = next(each for each, job in store.jobs.items() if job["every"] == DUE_SECONDS)
        world.machine.mishaps.refuse_claims(store, job_id, hours * 3600)
        before = world.machine.wakes, world.machine.awake_seconds(), world.nas.requests
        world.engine.at(end, functools.partial(note, world, job_id, *before))

    def note(world: World, job_id: str, wakes: int, awake: float, requests: int) -> None:
        fires = sum(fired == job_id for _, fired in world.nas.fires)
        counts = world.machine.wakes - wakes, world.machine.awake_seconds() - awake
        found.append(Cost(machine, host, hours, fires, *counts, world.nas.requests - requests))

    scene = Scene(
        0,
        f"{machine}, {host}",
        START,
        end + 1,
        Shape(("gateway",), homes=1, host=BY_NAME[host], boot_seconds=2.0, skew=skew, **shape),
        functools.partial(PlacedChaos, {}, START),
        jobs=0,
        script=script,
        run_seconds=3.0,
    )
    World(scene, driver).run()
    return found[0]
