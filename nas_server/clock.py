"""The one place that reads the system's clock."""

import time
from collections.abc import Callable

NowMs = Callable[[], int]
"""Returns now, in whole milliseconds since the epoch, rounded down."""


def system_clock() -> int:
    """Return now."""
    return time.time_ns() // 1_000_000
