"""What is armed, laid out over the next hours: a lane for each agent. Pure."""

from collections import Counter
from collections.abc import Iterable
from typing import Any, Final

from nas_sdk.protocol.one_shot import StoredOneShot

BINS: Final = 72
LANES: Final = 12
HOUR_MS: Final = 3_600_000


def timeline(ones: Iterable[StoredOneShot], now: int, hours: int) -> dict[str, Any]:
    """Return lanes of the agents whose one-shots are next, those of the others counted.

    ``ones`` are in order of time. A lane counts what is in each of `BINS` equal parts of the
    time from now on; what is due already is in the first.
    """
    end = now + hours * HOUR_MS
    lanes: dict[str, Counter[int]] = {}
    next_ms: dict[str, int] = {}
    others = beyond = 0
    for one in ones:
        if one.wake_ms >= end:
            beyond += 1
        elif one.agent in lanes or len(lanes) < LANES:
            lane = lanes.setdefault(one.agent, Counter())
            lane[max(0, one.wake_ms - now) * BINS // (end - now)] += 1
            next_ms.setdefault(one.agent, one.wake_ms)
        else:
            others += 1
    return {
        "from_ms": now,
        "to_ms": end,
        "bins": BINS,
        "lanes": [
            {
                "agent": agent,
                "armed": lane.total(),
                "next_ms": next_ms[agent],
                "bins": sorted(lane.items()),
            }
            for agent, lane in lanes.items()
        ],
        "others": others,
        "beyond": beyond,
    }
