"""The moment by which a call, or a whole batch, is over."""

from __future__ import annotations

from typing import Final

from .clock import Clock

DEADLINE: Final = "nas_sdk.deadline"
"""Where a request's `extensions` have its `Deadline`."""
SLICE: Final = 0.25
"""Seconds after which a wait that `Deadline.end` may cut short looks up."""


class Deadline:
    """Shared by all who work for the same caller. Safe to use from many threads."""

    __slots__ = ("_at", "_clock")

    def __init__(self, clock: Clock, seconds: float | None) -> None:
        """`seconds` from now by that clock; None for no limit."""
        self._clock = clock
        self._at = None if seconds is None else clock.monotonic() + seconds

    def left(self) -> float | None:
        """Seconds until then, zero or less when it has passed; None for no limit."""
        return None if self._at is None else self._at - self._clock.monotonic()

    def end(self) -> None:
        """Let it be over now: nobody waits for the results any more."""
        self._at = float("-inf")

    def sleep(self, seconds: float) -> None:
        """Sleep on the clock, but not for long after `end`."""
        while seconds > 0 and self._at != float("-inf"):
            self._clock.sleep(min(seconds, SLICE))
            seconds -= SLICE
