"""A store in memory: for tests and for a NAS that may forget."""

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from heapq import nlargest
from random import random

from nas_sdk._typing import override
from nas_sdk.protocol.one_shot import DeliveryResult, StoredOneShot
from nas_sdk.protocol.table import OneShotTable
from nas_server.history import Attempt, History
from nas_server.policy import HISTORY, HistoryPolicy
from nas_server.store.base import ALL, Counts, Histogram, Record, Store, StoreError, Which
from nas_server.store.histogram import histogram, in_order


class MemoryStore(Store):
    """Keeps everything in this process; nothing outlives it."""

    def __init__(
        self, *, chance: Callable[[], float] = random, history: HistoryPolicy = HISTORY
    ) -> None:
        """Draw jitter from ``chance``, in [0, 1)."""
        self._table = OneShotTable(chance=chance)
        self._history = History(history)
        self._records: defaultdict[str, dict[str, Record]] = defaultdict(dict)

    @override
    async def provision(self, wanted: StoredOneShot, now: int) -> str:
        return self._table.arm(wanted, now)

    @override
    async def cancel(self, agent: str, job_id: str, now: int) -> None:
        self._table.cancel(agent, job_id, now)

    @override
    async def withdraw(self, agent: str, job_id: str, schedule_id: str, now: int) -> bool:
        return self._table.withdraw(agent, job_id, schedule_id)

    @override
    async def drop(self, agent: str, before: int) -> None:
        self._table.drop(agent, before)

    @override
    async def fire_now(
        self, agent: str, job_id: str, schedule_id: str, now: int
    ) -> StoredOneShot | None:
        return self._table.fire_now(agent, job_id, schedule_id, now)

    @override
    async def armed(self, agent: str) -> list[StoredOneShot]:
        return self._table.armed(agent)

    @override
    async def due(
        self,
        now: int,
        limit: int,
        *,
        under_way: Mapping[str, int] | None = None,
        per_agent: int | None = None,
    ) -> list[StoredOneShot]:
        return self._table.due(now, limit, under_way=under_way, per_agent=per_agent)

    @override
    async def next_due(self, busy: Collection[str] = ()) -> int | None:
        return self._table.next_due(busy)

    @override
    def listen(self, expect: Callable[[int], object]) -> None:
        """No other process has a part in this one."""

    @override
    async def settle(
        self, tried: StoredOneShot, outcome: DeliveryResult, now: int
    ) -> StoredOneShot | None:
        left = self._table.settle(tried, outcome, now)
        self._history.add(Attempt.of(tried, outcome, left, now))
        return left

    @override
    async def release(self, held: Sequence[StoredOneShot]) -> None:
        for one in held:
            self._table.release(one)

    @override
    async def dead(
        self, now: int, limit: int, which: Which = ALL, offset: int = 0
    ) -> list[StoredOneShot]:
        dead = (one for one in self._table.dead(now) if which.fits(one.agent, one.job_id))
        return nlargest(offset + limit, dead, key=lambda one: one.not_before_ms)[offset:]

    @override
    async def upcoming(
        self, limit: int, which: Which = ALL, offset: int = 0
    ) -> list[StoredOneShot]:
        return in_order(self._live(which))[offset : offset + limit]

    @override
    async def histogram(
        self, start: int, end: int, bins: int, most: int, which: Which = ALL
    ) -> Histogram:
        return histogram(self._live(which), start, end, bins, most)

    def _live(self, which: Which) -> list[StoredOneShot]:
        ones = (one for one in self._table if which.fits(one.agent, one.job_id))
        return [one for one in ones if not one.dead]

    @override
    async def attempts(
        self, now: int, limit: int, which: Which = ALL, offset: int = 0
    ) -> list[Attempt]:
        return self._history.newest(now, limit, which.agent, which.fits, offset)

    @override
    async def counts(self, now: int, which: Which = ALL) -> Counts:
        live = [one.wake_ms for one in self._live(which)]
        due = [wake for wake in live if wake <= now]
        dead = await self.dead(now, len(self._table.dead(now)), which)
        return Counts(len(live), len(due), len(dead), min(due, default=None))

    @override
    async def arm_error(self) -> StoreError | None:
        return None

    @override
    async def read(self, kind: str, key: str) -> Record | None:
        return self._records[kind].get(key)

    @override
    async def write(self, kind: str, key: str, record: Record | None) -> None:
        if record is None:
            self._records[kind].pop(key, None)
        else:
            self._records[kind][key] = record

    @override
    async def swap(self, kind: str, key: str, old: Record | None, record: Record | None) -> bool:
        if self._records[kind].get(key) != old:
            return False
        await self.write(kind, key, record)
        return True

    @override
    async def scan(self, kind: str) -> dict[str, Record]:
        return dict(sorted(self._records[kind].items()))

    @override
    async def stop_accepting(self) -> None:
        """No other process delivers."""

    @override
    async def close(self) -> None:
        """Nothing to let go of."""
