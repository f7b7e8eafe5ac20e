"""How much may be under way at a time: all of it needs file descriptors, of which there are few."""

import resource
from typing import Final

RESERVED: Final = 64
"""Descriptors for the store, the log, name servers, and callers that are told to come later."""
LEAST: Final = 4
MOST: Final = 10_000


def share() -> int:
    """Return how many deliveries, and as many connections of callers, there may be now.

    The limit is looked at each time: it can be changed while the process runs.
    """
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit == resource.RLIM_INFINITY:
        return MOST
    return max(LEAST, min(MOST, (limit - RESERVED) // 2))
