"""Time for tests."""

from __future__ import annotations

import threading

from nas_sdk._core import process
from nas_sdk._core.clock import Clock

from .._typing import override


class VirtualClock(Clock):
    """Time that stands still until someone sleeps or moves it. Thread-safe."""

    def __init__(self, start: float = 1_767_225_600.0) -> None:
        """`start`: seconds since the epoch; the default is the beginning of 2026."""
        self._now = start
        self.forked()
        process.register(self)

    def forked(self) -> None:
        """Whoever holds it in the parent does not in a child."""
        self._lock = threading.Lock()

    @override
    def time(self) -> float:
        """Seconds since the epoch."""
        return self._now

    @override
    def monotonic(self) -> float:
        """The same seconds."""
        return self._now

    @override
    def sleep(self, seconds: float) -> None:
        """Move time to the end of this sleep; the sleeps of several threads overlap."""
        self._move_to(self._now + seconds)

    @override
    async def sleep_async(self, seconds: float) -> None:
        """As `sleep`: the sleeps of several tasks overlap, and each can be cancelled."""
        import anyio

        end = self._now + seconds
        await anyio.lowlevel.checkpoint()
        self._move_to(end)

    def _move_to(self, moment: float) -> None:
        with self._lock:
            self._now = max(self._now, moment)
