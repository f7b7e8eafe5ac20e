"""What was measured: rows of metrics, each for the provider hermes bundles and for ours."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import attrs


@attrs.frozen
class Metric:
    """What a run is asked for, and what of it is to be reached.

    unit: `s` (seconds), `MB`, `x` (a factor), `yes/no` (1 or 0), or empty for a number.
    """

    key: str
    """Its name in what a run returns."""
    label: str
    unit: str = ""
    at_least: float | None = None
    """How many times as good as the other side ours must be."""
    at_most: float | None = None
    """The most that ours may be."""


@attrs.frozen
class Summary:
    """The runs of one side."""

    median: float
    low: float
    high: float
    runs: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Summary | None:
        """None when there are no runs."""
        if not values:
            return None
        return cls(statistics.median(values), min(values), max(values), len(values))


@attrs.frozen
class Line:
    """One metric of a row. `ratio` is how many times less ours is."""

    metric: Metric
    bundled: Summary | None
    ours: Summary | None

    @property
    def ratio(self) -> float | None:
        """The other side's median over ours."""
        if self.bundled is None or self.ours is None or not self.ours.median:
            return None
        return self.bundled.median / self.ours.median

    @property
    def is_met(self) -> bool | None:
        """Whether the target is reached; None without one."""
        least, most = self.metric.at_least, self.metric.at_most
        if least is not None and self.ratio is not None:
            return self.ratio >= least
        if most is not None and self.ours is not None:
            return self.ours.median <= most
        return None


@attrs.frozen
class Row:
    """One kind of work, done by both."""

    name: str
    title: str
    jobs: int
    lines: tuple[Line, ...]
    load: float
    """The machine's load average of a minute when it began; more than 1 is not ours alone."""

    def line(self, key: str) -> Line:
        """The line of a metric; KeyError without it."""
        return {line.metric.key: line for line in self.lines}[key]


@attrs.frozen
class Result:
    """A whole benchmark. `about`: when, on what, and how it was run."""

    about: Mapping[str, Any]
    rows: tuple[Row, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain data, with all ratios."""
        rows = []
        for row in self.rows:
            plain = attrs.asdict(row)
            for line, given in zip(row.lines, plain["lines"], strict=True):
                given |= {"ratio": line.ratio, "is_met": line.is_met}
            rows.append(plain)
        ratios = {row.name: row.lines[0].ratio for row in self.rows}
        return {"about": dict(self.about), "ratios": ratios, "rows": rows}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Result:
        """What `to_json` gave."""
        return cls(data["about"], tuple(_row(row) for row in data["rows"]))


def _row(data: Mapping[str, Any]) -> Row:
    lines = tuple(
        Line(Metric(**line["metric"]), _summary(line["bundled"]), _summary(line["ours"]))
        for line in data["lines"]
    )
    return Row(**{**data, "lines": lines})


def _summary(data: Mapping[str, Any] | None) -> Summary | None:
    return None if data is None else Summary(**data)
