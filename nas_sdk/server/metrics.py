"""What the server counts, for Prometheus."""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from nas_sdk.server.store.base import Counts

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_LATENESS_S: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60, 600, 3600)


class Metrics:
    """The numbers of one server."""

    def __init__(self) -> None:
        """Start at nothing."""
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "nas_requests", "Requests answered.", ["operation", "status"], registry=self._registry
        )
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
        self._under_way = Gauge(
            "nas_deliveries_under_way", "Deliveries under way.", registry=self._registry
        )

    def answered(self, operation: str, status: int) -> None:
        """Count a request."""
        self._requests.labels(operation, str(status)).inc()

    def began(self, lateness_ms: int | None) -> None:
        """Count a delivery that begins; a first one has a lateness."""
        self._under_way.inc()
        if lateness_ms is not None:
            self._lateness.observe(lateness_ms / 1_000)

    def ended(self, outcome: str) -> None:
        """Count a delivery that ended, by a word from a small set."""
        self._under_way.dec()
        self._attempts.labels(outcome).inc()

    def render(self, counts: Counts) -> bytes:
        """Return the text to serve."""
        for state in ("armed", "due", "dead"):
            self._held.labels(state).set(getattr(counts, state))
        return generate_latest(self._registry)
