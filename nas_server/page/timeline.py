"""What is armed, laid out over the next hours: a row for each agent. Pure."""

from typing import Any, Final

from nas_server.store.base import Histogram

BINS: Final = 72
AGENTS: Final = 12
HOUR_MS: Final = 3_600_000


def timeline(found: Histogram, start: int, hours: int, armed: int) -> dict[str, Any]:
    """Return the agents found from ``start`` on; the rest of those ``armed`` counted."""
    agents = [
        {
            "agent": each.agent,
            "armed": sum(each.bins.values()),
            "next_ms": each.next_ms,
            "bins": sorted(each.bins.items()),
        }
        for each in found.agents
    ]
    within = found.others + sum(sum(each.bins.values()) for each in found.agents)
    return {
        "from_ms": start,
        "to_ms": start + hours * HOUR_MS,
        "bins": BINS,
        "agents": agents,
        "others": found.others,
        "beyond": max(0, armed - within),
    }
