"""What the server counts, for Prometheus."""

import asyncio
import math
from collections.abc import Awaitable, Callable
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from nas_server.clock import NowMs
from nas_server.store.base import Counts

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_LATENESS_S: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60, 600, 3600)


class Metrics:
    """The numbers of one server."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "nas_requests", "Requests answered.", ["operation", "status"], registry=self._registry
        )
        self._counters: dict[tuple[str, int], Counter] = {}
        self._attempts = Counter(
            "nas_fire_attempts", "Deliveries ended.", ["outcome"], registry=self._registry
        )
        self._lateness = Histogram(
            "nas_fire_lateness_seconds",
            "From fire_at, or the arming of a past one, to the start of the first delivery.",
            buckets=_LATENESS_S,
            registry=self._registry,
        )
        self._held = Gauge(
            "nas_one_shots", "One-shots by state.", ["state"], registry=self._registry
        )
        self._overdue = Gauge(
            "nas_overdue",
            "One-shots that could have a delivery now and wait for it to begin.",
            registry=self._registry,
        )
        self._oldest = Gauge(
            "nas_overdue_oldest_seconds",
            "How long the one that has waited longest does; 0 without any.",
            registry=self._registry,
        )
        self._store_up = Gauge(
            "nas_store_up",
            "Whether the store can be asked, and takes what is to be armed.",
            registry=self._registry,
        )
        self._under_way = Gauge(
            "nas_deliveries_under_way", "Deliveries under way.", registry=self._registry
        )

    def answered(self, operation: str, status: int) -> None:
        """Count a request."""
        counter = self._counters.get((operation, status))
        if counter is None:
            counter = self._requests.labels(operation, str(status))
            self._counters[operation, status] = counter
        counter.inc()

    def began(self, lateness_ms: int | None) -> None:
        """Count a delivery that begins; a first one has a lateness."""
        self._under_way.inc()
        if lateness_ms is not None:
            self._lateness.observe(lateness_ms / 1_000)

    def ended(self, outcome: str) -> None:
        """Count a delivery that ended, by a word from a small set."""
        self._under_way.dec()
        self._attempts.labels(outcome).inc()

    def render(self, counts: Counts | None, *, up: bool, now: int) -> bytes:
        """Return the text to serve; without ``counts`` the store did not give any."""
        self._store_up.set(up and counts is not None)
        self._held.clear()
        for state in ("armed", "due", "dead") if counts else ():
            self._held.labels(state).set(getattr(counts, state))
        self._overdue.set(math.nan if counts is None else counts.due)
        oldest = None if counts is None else counts.oldest_due_ms
        self._oldest.set(0 if oldest is None else max(0, now - oldest) / 1_000)
        return generate_latest(self._registry)


class CountsCache:
    """What a store holds, counted at most once in a while.

    Counting reads the whole store, and whoever reaches ``/metrics`` may ask for it.
    """

    def __init__(
        self, count: Callable[[int], Awaitable[Counts]], clock: NowMs, fresh_ms: int
    ) -> None:
        """Count with ``count``, given the time of ``clock``, and not again for ``fresh_ms``."""
        self._fresh_ms = fresh_ms
        self._count = count
        self._clock = clock
        self._one_at_a_time = asyncio.Lock()
        self._found: tuple[int, Counts] | None = None

    async def get(self) -> Counts:
        """Return the latest counts, or wait for new ones; raises what counting raises."""
        async with self._one_at_a_time:
            if self._found is None or not self._is_fresh(self._found[0]):
                counts = await self._count(self._clock())
                self._found = self._clock(), counts
            return self._found[1]

    def _is_fresh(self, counted_ms: int) -> bool:
        # A clock that was set back must not keep old counts until it has caught up.
        return 0 <= self._clock() - counted_ms < self._fresh_ms
