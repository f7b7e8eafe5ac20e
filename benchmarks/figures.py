"""What is made of measured times."""

from benchmarks.load import Sink

Figures = dict[str, float]


def quantile(values: list[float], share: float) -> float:
    """Return the value that ``share`` of them do not exceed."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def in_ms(took: list[float], name: str = "") -> Figures:
    """Return median and 99th percentile of seconds, in milliseconds."""
    return {f"{name}p50_ms": quantile(took, 0.5) * 1e3, f"{name}p99_ms": quantile(took, 0.99) * 1e3}


def lateness(agent: Sink, dues: dict[str, float]) -> Figures:
    """Return how late the fires of jobs came that were due at those times (epoch ms)."""
    late = [came[0] - int(dues[job]) / 1e3 for job, came in agent.arrived.items()]
    return {
        **in_ms(late),
        "max_ms": max(late) * 1e3,
        "early": sum(x < 0 for x in late),
        "again": agent.again,
    }
