"""One-shots counted into lanes, where a store cannot do that itself. Pure."""

from collections import Counter
from collections.abc import Iterable

from nas_sdk.protocol.one_shot import StoredOneShot
from nas_server.store.base import Lane, Lanes


def in_order(ones: Iterable[StoredOneShot]) -> list[StoredOneShot]:
    """Return one-shots as `Store.upcoming` has them."""
    return sorted(ones, key=lambda one: (one.not_before_ms, one.agent, one.job_id))


def lanes(ones: Iterable[StoredOneShot], start: int, end: int, bins: int, most: int) -> Lanes:
    """Return what `Store.lanes` does, from one-shots in any order."""
    counted: dict[str, Counter[int]] = {}
    next_ms: dict[str, int] = {}
    for one in in_order(one for one in ones if one.not_before_ms < end):
        place = max(0, one.not_before_ms - start) * bins // (end - start)
        counted.setdefault(one.agent, Counter())[place] += 1
        next_ms.setdefault(one.agent, one.not_before_ms)
    shown = [Lane(agent, next_ms[agent], counted[agent]) for agent in list(counted)[:most]]
    every = sum(lane.total() for lane in counted.values())
    return Lanes(shown, every - sum(sum(lane.bins.values()) for lane in shown))
