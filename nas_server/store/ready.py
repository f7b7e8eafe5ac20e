"""What is due and waits for a delivery, per agent, so that a full agent costs nothing to pass."""

import heapq
from collections import Counter
from collections.abc import Collection, Generator

Waiting = tuple[int, str]
"""When a one-shot was to be looked at, and its job id."""


class Ready:
    """Names one-shots whose time had come at the `horizon`; whether they still wait, rows say.

    Every one-shot with a time up to the horizon is named here, unless it has been taken.
    """

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Forget everything, so that it is read anew."""
        self.horizon = -1
        self._size = 0
        self._waiting: dict[str, list[Waiting]] = {}
        self._heads: list[tuple[int, str]] = []

    def add(self, agent: str, job_id: str, wake_ms: int) -> None:
        """Name a one-shot whose time lies before the horizon."""
        heap = self._waiting.setdefault(agent, [])
        heapq.heappush(heap, (wake_ms, job_id))
        self._size += 1
        if heap[0] == (wake_ms, job_id):
            heapq.heappush(self._heads, (wake_ms, agent))

    def __len__(self) -> int:
        """How many names are here, those that wait no more among them."""
        return self._size

    def take(
        self, now: int, load: Counter[str], per_agent: int | None
    ) -> Generator[tuple[str, str, int]]:
        """Take one-shots out, earliest first: agent, job id and time.

        Agents that have ``per_agent`` under way by ``load`` are passed over; the caller
        counts there what it begins. The iterator must be closed before the next call.
        """
        passed: list[tuple[int, str]] = []
        try:
            while self._heads and self._heads[0][0] <= now:
                wake, agent = heapq.heappop(self._heads)
                heap = self._waiting.get(agent)
                if not heap or heap[0][0] != wake:
                    continue  # an earlier one came in between, and has its own entry
                if per_agent is not None and load[agent] >= per_agent:
                    passed.append((wake, agent))
                    continue
                yield agent, self._pop(agent), wake
        finally:
            for entry in passed:
                heapq.heappush(self._heads, entry)

    def first(self, busy: Collection[str]) -> tuple[str, str, int] | None:
        """Return the earliest one here, those of ``busy`` agents aside, and leave it."""
        heads = ((heap[0], agent) for agent, heap in self._waiting.items() if agent not in busy)
        (wake, job_id), agent = min(heads, default=((0, ""), ""))
        return (agent, job_id, wake) if agent else None

    def drop(self, agent: str) -> None:
        """Take out the agent's earliest."""
        self._pop(agent)

    def _pop(self, agent: str) -> str:
        heap = self._waiting[agent]
        _, job_id = heapq.heappop(heap)
        self._size -= 1
        if heap:
            heapq.heappush(self._heads, (heap[0][0], agent))
        else:
            del self._waiting[agent]
        return job_id
