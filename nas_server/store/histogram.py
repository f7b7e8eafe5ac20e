"""One-shots counted by agent and time, where a store cannot do that itself. Pure."""

from collections import Counter
from collections.abc import Iterable

from nas_sdk.protocol.one_shot import StoredOneShot
from nas_server.store.base import AgentHistogram, Histogram


def in_order(ones: Iterable[StoredOneShot]) -> list[StoredOneShot]:
    """Return one-shots as `Store.upcoming` has them."""
    return sorted(ones, key=lambda one: (one.not_before_ms, one.agent, one.job_id))


def histogram(
    ones: Iterable[StoredOneShot], start: int, end: int, bins: int, most: int
) -> Histogram:
    """Return what `Store.histogram` does, from one-shots in any order."""
    counted: dict[str, Counter[int]] = {}
    next_ms: dict[str, int] = {}
    for one in in_order(one for one in ones if one.not_before_ms < end):
        place = max(0, one.not_before_ms - start) * bins // (end - start)
        counted.setdefault(one.agent, Counter())[place] += 1
        next_ms.setdefault(one.agent, one.not_before_ms)
    shown = [
        AgentHistogram(agent, next_ms[agent], counted[agent]) for agent in list(counted)[:most]
    ]
    every = sum(parts.total() for parts in counted.values())
    return Histogram(shown, every - sum(sum(each.bins.values()) for each in shown))
