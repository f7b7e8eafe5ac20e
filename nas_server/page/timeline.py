"""What is armed, laid out over the next hours: a lane for each agent. Pure."""

from typing import Any, Final

from nas_server.store.base import Lanes

BINS: Final = 72
LANES: Final = 12
HOUR_MS: Final = 3_600_000


def timeline(found: Lanes, start: int, hours: int, armed: int) -> dict[str, Any]:
    """Return the lanes found from ``start`` on; the rest of those ``armed`` counted."""
    lanes = [
        {
            "agent": lane.agent,
            "armed": sum(lane.bins.values()),
            "next_ms": lane.next_ms,
            "bins": sorted(lane.bins.items()),
        }
        for lane in found.lanes
    ]
    within = found.others + sum(sum(lane.bins.values()) for lane in found.lanes)
    return {
        "from_ms": start,
        "to_ms": start + hours * HOUR_MS,
        "bins": BINS,
        "lanes": lanes,
        "others": found.others,
        "beyond": max(0, armed - within),
    }
