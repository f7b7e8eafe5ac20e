"""Short stories of one or two jobs, each on a host of some generation."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from .chaos import PlacedChaos
from .hosts import BY_NAME
from .machine import Shape
from .people import Deed
from .scene import START, Scene

if TYPE_CHECKING:
    from .world import World

CREATED: Final = 10.0
"""When the first command is entered, counted from the beginning."""
EVERY: Final = 180.0
WATCHDOG_FIRES: Final = CREATED + 2 + EVERY + 900.0
"""When that of a first job fires, about, if the agent died in its fire."""
EMPTIED: Final = CREATED + 12.0
"""When a server that a command has started is still there."""
SAVED: Final = 60.0
RUN_SECONDS: Final = 3.0
OUTAGE_SECONDS: Final = 120.0
LONG_SECONDS: Final = 600.0
"""Longer than a claim; and a one-shot has its time until its run is over."""
CLAIMED_SECONDS: Final = 0.01
"""So long after a run is recorded it is claimed, and the next one is not armed yet."""
REFUSED_SECONDS: Final = 240.0
"""For a few tries; all that come later are alike, and the pairs would be four times as many."""
GATEWAY, DASHBOARD = ("gateway",), ("dashboard",)
BOTH: Final = (*GATEWAY, *DASHBOARD)


class ShortStory:
    """What happens in it but for the faults, and until when that takes."""

    def __init__(
        self,
        name: str,
        host: str,
        script: Callable[[World], object],
        start: float = CREATED + EVERY - 4,
        until: float = CREATED + EVERY + 20,
        servers: tuple[str, ...] = GATEWAY,
        run_seconds: float = RUN_SECONDS,
        in_pairs: bool = True,
        **shape: Any,
    ) -> None:
        """Between `start` and `until` things happen, in seconds after the beginning."""
        self.name = name
        self.in_pairs = in_pairs
        """Whether pairs of faults are placed in it, too."""
        usual = {"homes": 1, "idle_seconds": 20.0, "skew": 0.0, "always_on": False}
        given = {**usual, **shape}
        self._shape = Shape(servers, host=BY_NAME[host], boot_seconds=2.0, **given)
        self._script, self._start, self._until = script, start, until
        self._run_seconds = run_seconds

    def scene(self, placed: Mapping[int, str], *, converges_twice: bool = True) -> Scene:
        """The story with faults at these points of its I/O."""
        return Scene(
            0,
            self.name,
            START,
            START + self._until,
            self._shape,
            functools.partial(PlacedChaos, placed, START + self._start),
            jobs=0,
            script=self._script,
            converges_twice=converges_twice,
            run_seconds=self._run_seconds,
        )


def _enter(world: World, at: float, action: str, *, home: int = 0, **given: Any) -> None:
    """Have somebody enter a command so long after the beginning."""
    where = world.machine.homes[home]
    world.engine.at(START + at, lambda: world.people.at_prompt(where, action, **given))


def _create(world: World, **given: Any) -> float:
    """A job, by default every three minutes; about when it is due."""
    given = given or {"every": EVERY}
    _enter(world, CREATED, "create", **given)
    period: float = given.get("every") or given["within"]
    return CREATED + world.shape.boot_seconds + period + 1


def _create_once(world: World) -> None:
    _create(world, within=90.0, times=1)


def _create_unlimited(world: World) -> None:
    _create(world, within=90.0)


def _repeat_twice(world: World) -> None:
    _create(world, every=90.0, times=2)


def _later(world: World, at: float, call: Callable[[], object]) -> None:
    world.engine.at(START + at, call)


def _during_its_run(action: str, **given: Any) -> Callable[[World], None]:
    def script(world: World) -> None:
        _enter(world, _create(world) + 1, action, **given)

    return script


def _pause_during_a_retry(world: World) -> None:
    world.failures = iter([True])
    due = _create(world, every=400.0)
    _enter(world, due + 100, "pause")
    _enter(world, due + 200, "resume")


def _two_profiles(world: World) -> None:
    _create(world)
    _enter(world, CREATED + 5, "create", home=1, every=EVERY)


def _dies_and_wakes(world: World) -> None:
    """The machine stops between the claim of a fire and the arm of the next one."""
    store = world.machine.stores[world.machine.homes[0]]
    usual = store.on_execution

    def on_execution() -> None:
        store.on_execution = usual
        usual()
        world.engine.at(world.engine.now + CLAIMED_SECONDS, world.machine.stop_by_hand)

    store.on_execution = on_execution
    _create(world)


def _store_gone(world: World) -> None:
    store = world.machine.stores[world.machine.homes[0]]
    _later(world, _create(world) - 2, lambda: world.machine.mishaps.lose(store, "store gone"))


def _store_emptied(world: World) -> None:
    """With two jobs in it, while a server is there to see it."""
    store = world.machine.stores[world.machine.homes[0]]
    _create(world)
    _enter(world, CREATED + 4, "create", every=2 * EVERY)
    _later(world, EMPTIED, lambda: world.machine.mishaps.lose(store, "store emptied"))


def _created_on_a_page(world: World) -> None:
    """A page of the dashboard saves a job, and tells no provider."""
    _create(world)
    world.people.plan((Deed(START + SAVED, "create", 0, "rest"),))


def _claims_refused(world: World) -> None:
    store = world.machine.stores[world.machine.homes[0]]
    job_id = f"{1:012x}"
    _later(
        world,
        _create(world) - 2,
        lambda: world.machine.mishaps.refuse_claims(store, job_id, REFUSED_SECONDS),
    )


def _nas_down_at_the_rearm(world: World) -> None:
    _later(world, _create(world) + 2, lambda: world.chaos.go_down(world.engine.now))


def _nas_down_for_long(world: World) -> None:
    """For longer than a request is tried again."""

    def go_down() -> None:
        world.chaos.go_down(world.engine.now, OUTAGE_SECONDS)

    _later(world, _create(world) + 1, go_down)


def _token_expires(world: World) -> None:
    for at in itertools.accumulate((_create(world) - 1, 2.0)):
        _later(world, at, world.nas.renew_token)


def _hermes_paused(world: World) -> None:
    _later(world, _create(world) - 10, world.machine.mishaps.pause)


def _gateway_stopped(world: World) -> None:
    _later(world, _create(world) - 10, world.machine.mishaps.stop_gateway)


def _rolled_back(world: World) -> None:
    world.machine.mishaps.rollbacks = iter([True])
    world.chaos.note("claim rolled back", START + _create(world))


STORIES: Final = (
    ShortStory("create and fire", "0.19", _create, 0, servers=DASHBOARD),
    ShortStory("create and fire, two phases", "0.20.6", _create, 0),
    ShortStory("create one that fires once", "0.22", _create_once, 0, 140),
    ShortStory("run for long", "0.22", _create_unlimited, 88, 110, run_seconds=LONG_SECONDS),
    ShortStory("create in two profiles", "0.19", _two_profiles, 0, servers=DASHBOARD, homes=2),
    ShortStory("edit during a fire", "0.19", _during_its_run("edit", every=300.0), servers=BOTH),
    ShortStory("remove during a fire", "0.22", _during_its_run("remove")),
    ShortStory("repeat twice", "0.22", _repeat_twice, 90, 240),
    ShortStory("pause during a retry", "0.22", _pause_during_a_retry, 400, 640),
    ShortStory("dies and wakes", "0.20.6", _dies_and_wakes),
    ShortStory(
        "dies, and dies again",
        "0.19",
        _dies_and_wakes,
        WATCHDOG_FIRES - 5,
        WATCHDOG_FIRES + 15,
        servers=DASHBOARD,
        # A pair here is a third death in a third fire, and there are two watchdogs.
        in_pairs=False,
    ),
    ShortStory("store gone during a fire", "0.22", _store_gone),
    ShortStory("store emptied", "0.19", _store_emptied, EMPTIED - 1, EMPTIED + 110),
    ShortStory(
        "created on a page",
        "0.19",
        _created_on_a_page,
        SAVED - 1,
        SAVED + 20,
        servers=BOTH,
        idle_seconds=100.0,
    ),
    ShortStory("claims refused", "0.20.6", _claims_refused),
    ShortStory("claim rolled back", "later", _rolled_back),
    ShortStory("claim rolled back, untold", "later", _rolled_back, tells_rollback=False),
    ShortStory(
        "claim rolled back late",
        "later",
        _rolled_back,
        idle_seconds=100.0,
        tells_rollback=False,
        rollback_seconds=10.0,
        notifies=False,
    ),
    ShortStory("NAS down at the re-arm", "0.18", _nas_down_at_the_rearm, servers=DASHBOARD),
    ShortStory("NAS down for long, no watchdog", "0.19", _nas_down_for_long, always_on=True),
    ShortStory("token expires", "0.22", _token_expires),
    ShortStory("start again", "0.22", _create, 60, starts_again=True, idle_seconds=100.0),
    ShortStory("hermes paused", "0.20.6", _hermes_paused),
    ShortStory("gateway stopped", "0.22", _gateway_stopped, servers=BOTH),
    ShortStory("always on, no watchdog", "0.19", _create, always_on=True),
)
