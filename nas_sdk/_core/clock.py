"""Time as the clients see it: the one seam for it, replaced in tests."""

from __future__ import annotations

import time


def wall_time() -> float:
    """Seconds since the epoch, by what `time.time` is at the call: a test may have replaced it."""
    return time.time()


class Clock:
    """The system's clock. Subclass it and pass it as `clock` to bring time of your own."""

    def monotonic(self) -> float:
        """Seconds from any fixed point; never goes back."""
        return time.monotonic()

    def time(self) -> float:
        """Seconds since the epoch."""
        return time.time()

    def sleep(self, seconds: float) -> None:
        """Block this thread."""
        time.sleep(seconds)

    async def sleep_async(self, seconds: float) -> None:
        """Suspend this task."""
        import anyio

        await anyio.sleep(seconds)
