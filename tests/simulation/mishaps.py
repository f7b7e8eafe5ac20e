"""What befalls a machine for a while: its store, its gateway, its hermes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from . import promises
from .store import Store

if TYPE_CHECKING:
    from .machine import Machine
    from .world import World


UNSEEN_SECONDS: Final = 2.0
"""A store that is filled for no longer is empty all the time, to those who look after a change."""


class Mishaps:
    """Of one machine. Each begins when it is called, and ends by itself."""

    def __init__(self, world: World, machine: Machine) -> None:
        self._world = world
        self._engine = world.engine
        self._machine = machine
        self.is_paused = False
        """Somebody has hermes pause; the hosts that can refuse every fire then."""
        self.is_gateway_stopped = False
        """Somebody stopped the gateway on purpose."""
        self.rollbacks: Iterator[bool] = iter(())
        """Which of the claims to come are taken back."""
        self.refusals: list[tuple[float, float, str]] = []
        """From when until when claims of which job were refused."""
        self.lost_seconds = 0.0
        """For how long a store could not be read, in all."""

    def lose(self, store: Store, fault: str) -> None:
        """The job store, or one record of it, cannot be read for a while."""
        if store.lost or store.unreadable or not store.jobs or self._is_unheard_of(store):
            return
        seconds = self._fault_seconds(fault)
        self.lost_seconds += seconds
        if fault == "record unreadable":
            store.unreadable = {self._world.chance.choice(sorted(store.jobs))}
            self._world.story.tell("store", "{} cannot be read", *store.unreadable)
        else:
            store.lost = fault.split()[-1]
            self._world.story.tell("store", "is {}", store.lost)
        seen = self._engine.now - store.filled_at > UNSEEN_SECONDS
        if seen or store.lost != "emptied":
            store.lost_at = self._engine.now
        store.on_save()
        self._engine.at(self._engine.now + seconds, lambda: self._restore(store))

    def _is_unheard_of(self, store: Store) -> bool:
        """Whether somebody who made the first job died before anything could know of it."""
        died = any(self._world.chaos.counts[kind] for kind in promises.EXCUSES)
        return died and not self._world.nas.armed().keys() & store.jobs.keys()

    def _restore(self, store: Store) -> None:
        store.filled_at = self._engine.now if store.lost == "emptied" else -math.inf
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

    def refuse_claims(self, store: Store, job_id: str, seconds: float | None = None) -> None:
        """Hermes refuses to run a job for a while, such as while its provider is over a limit."""
        now = self._engine.now
        if store.refused.get(job_id, 0.0) <= now:
            until = now + self._fault_seconds("claims refused", seconds)
            store.refused[job_id] = until
            self.refusals.append((now, until, job_id))
            self._world.story.tell("hermes", "refuses {} for {:.0f} s", job_id, until - now)

    def _fault_seconds(self, kind: str, seconds: float | None = None) -> float:
        seconds = self._world.chaos.seconds(kind) if seconds is None else seconds
        self._world.chaos.note(kind, self._engine.now + seconds)
        return seconds

    def stop_gateway(self) -> None:
        """Somebody stops it on purpose; a dashboard then tells NAS that a fire is done with."""
        self.is_gateway_stopped = True
        gateway = self._machine.server("gateway")
        self._world.story.tell("front", "the gateway is stopped on purpose")
        if gateway is not None:
            self._machine.end(gateway)
        until = self._engine.now + self._fault_seconds("gateway stopped")
        self._engine.at(until, self._start_gateway)

    def _start_gateway(self) -> None:
        """Somebody starts it again, on a machine that is on."""
        self.is_gateway_stopped = False
        self._machine.wake(lambda: self._machine.restart("gateway"))
