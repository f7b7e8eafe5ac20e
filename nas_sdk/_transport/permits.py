"""A semaphore that no signal can unbalance.

A signal's exception (KeyboardInterrupt, a timeout of a test runner or of a task queue) may
come between any two bytecodes, also between taking a permit and the `try` behind it. So a
permit is not counted but belongs to an object: it is free again when `leave` is called, or
when the object is gone, whichever comes first.
"""

from __future__ import annotations

import itertools
import weakref
from functools import partial
from queue import Empty, SimpleQueue
from typing import Final

LOOK_AGAIN: Final = 0.05
"""Seconds after which who waits looks by himself: an owner that vanished wakes nobody."""


class Owner:
    """Holds one permit, from `Permits.enter` until `Permits.leave` or its own end."""

    __slots__ = ("__weakref__", "_place", "_woken")

    def __init__(self) -> None:
        self._place: int | None = None
        self._woken: SimpleQueue[None] | None = None


class Permits:
    """At most `count` owners at a time; the others wait in the order they came."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._places = itertools.count()
        self.reset()

    def reset(self) -> None:
        """All are free, whoever had one."""
        # In order of arrival: the first `count` hold a permit, the rest wait. Every change is
        # one call into C, which no signal and no thread can interrupt.
        self._line: dict[int, weakref.ref[Owner]] = {}

    @property
    def value(self) -> int:
        """How many are free."""
        return max(0, self._count - len(self._line))

    _value = value  # by this name, too, as `threading.Semaphore` has it

    def owners(self) -> list[Owner]:
        """Those that hold a permit."""
        alive = [ref() for ref in list(self._line.values())[: self._count]]
        return [owner for owner in alive if owner is not None]

    def enter(self, owner: Owner, timeout: float | None) -> bool:
        """Wait for a permit up to `timeout` seconds; whether there was one."""
        place = next(self._places)
        self._line[place] = weakref.ref(owner, partial(self._line.pop, place))
        owner._place = place
        return len(self._line) <= self._count or self._wait(owner, place, timeout)

    def _wait(self, owner: Owner, place: int, timeout: float | None) -> bool:
        woken = owner._woken = SimpleQueue()
        left = float("inf") if timeout is None else timeout
        while place not in list(self._line)[: self._count]:
            if left <= 0:
                self.leave(owner)
                return False
            try:
                woken.get(timeout=min(left, LOOK_AGAIN))
            except Empty:
                left -= LOOK_AGAIN  # counted, as a test may have stopped the clock
        return True

    def leave(self, owner: Owner) -> None:
        """Give the permit back, or leave the line; again changes nothing."""
        place, owner._place = owner._place, None
        if place is None:
            return
        self._line.pop(place, None)
        if len(self._line) >= self._count:
            for ref in list(self._line.values())[self._count - 1 : self._count]:
                following = ref()
                if following is not None and following._woken is not None:
                    following._woken.put(None)
