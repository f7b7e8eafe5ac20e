"""How time and requests grow with the number of jobs, and the chart of it (SVG, log-log)."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence

import attrs

from benchmarks.side_by_side.agent import BUNDLED, OURS
from benchmarks.side_by_side.figures import Result
from benchmarks.side_by_side.rows import COLD

WIDTH, HEIGHT = 360, 300
LEFT, RIGHT, TOP, BOTTOM = 56, 16, 34, 44
COLOURS = {BUNDLED: "#c2410c", OURS: "#1d4ed8"}


@attrs.frozen
class Point:
    """What arming so many jobs costs."""

    jobs: int
    value: float
    is_measured: bool = True


def points(result: Result, side: str, key: str) -> list[Point]:
    """The growth of a metric by the number of jobs; what was not measured is extrapolated.

    Time is taken to be `a * jobs + b * jobs ** 2`, through the last two points measured,
    because the bundled provider reads the whole store for every job it arms. Its requests
    are one per job, and one for the list.
    """
    rows = sorted((row.jobs, row.line(key)) for row in result.rows if row.name.startswith(COLD))
    known = [
        Point(jobs, summary.median)
        for jobs, line in rows
        if (summary := getattr(line, side)) is not None
    ]
    missing = [jobs for jobs, line in rows if getattr(line, side) is None]
    return known + [Point(jobs, _extrapolated(known, jobs, key), False) for jobs in missing]


def _extrapolated(known: Sequence[Point], jobs: int, key: str) -> float:
    if key == "requests":
        return jobs + 1
    (one, t_one), (two, t_two) = ((point.jobs, point.value) for point in known[-2:])
    square = max(0.0, (t_two / two - t_one / one) / (two - one))
    return (t_two / two + square * (jobs - two)) * jobs


def chart(result: Result) -> str:
    """Two panels beside each other, readable on light and on dark pages."""
    panels = [
        _panel(result, "seconds", "seconds, NAS answering in 30 ms", 0),
        _panel(result, "requests", "requests", WIDTH),
    ]
    style = "text{font:12px sans-serif;fill:#1f2937}.axis{stroke:#d1d5db}.name{font-weight:600}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {2 * WIDTH} {HEIGHT}" role="img">'
        "<title>What a cold converge costs, by the number of jobs</title>"
        f'<style>{style}</style><rect width="{2 * WIDTH}" height="{HEIGHT}" fill="#fff" rx="6"/>'
        f"{''.join(panels)}</svg>\n"
    )


def _panel(result: Result, key: str, title: str, offset: int) -> str:
    lines = {side: points(result, side, key) for side in (BUNDLED, OURS)}
    across = _Scale([point.jobs for line in lines.values() for point in line], LEFT, WIDTH - RIGHT)
    values = [point.value for line in lines.values() for point in line]
    up = _Scale(values, HEIGHT - BOTTOM, TOP)
    parts = [f'<text class="name" x="{LEFT}" y="20">{title}</text>']
    for value in across.ticks():
        x = across(value)
        parts.append(f'<line class="axis" x1="{x}" y1="{TOP}" x2="{x}" y2="{HEIGHT - BOTTOM}"/>')
        parts.append(_text(x, HEIGHT - BOTTOM + 16, f"{value:,.0f}", "middle"))
    for value in up.ticks():
        y = up(value)
        parts.append(f'<line class="axis" x1="{LEFT}" y1="{y}" x2="{WIDTH - RIGHT}" y2="{y}"/>')
        parts.append(_text(LEFT - 6, y + 4, f"{value:,g}", "end"))
    parts.append(_text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 10, "jobs", "middle"))
    for side, line in lines.items():
        parts += _curve(line, across, up, COLOURS[side])
    for number, (side, colour) in enumerate(COLOURS.items()):
        x, y = LEFT + 10, TOP + 16 + 17 * number
        parts.append(f'<circle cx="{x}" cy="{y - 4}" r="4" fill="{colour}"/>')
        parts.append(_text(x + 9, y, side, "start"))
    return f'<g transform="translate({offset})">{"".join(parts)}</g>'


def _curve(line: Sequence[Point], across: _Scale, up: _Scale, colour: str) -> Iterable[str]:
    """Solid between what was measured, dashed to what was extrapolated, which has no dot."""
    for start, end in itertools.pairwise(line):
        dash = "" if end.is_measured else ' stroke-dasharray="5 4"'
        yield (
            f'<line x1="{across(start.jobs)}" y1="{up(start.value)}" x2="{across(end.jobs)}" '
            f'y2="{up(end.value)}" stroke="{colour}" stroke-width="2"{dash}/>'
        )
    for point in line:
        fill = colour if point.is_measured else "#fff"
        place = f'cx="{across(point.jobs)}" cy="{up(point.value)}"'
        yield f'<circle {place} r="3.5" fill="{fill}" stroke="{colour}" stroke-width="2"/>'


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}">{text}</text>'


class _Scale:
    """Where on a logarithmic axis a value is; the axis spans whole powers of ten."""

    def __init__(self, values: Iterable[float], start: float, end: float) -> None:
        found = list(values)
        self._low = math.floor(math.log10(min(found)) + 1e-9)
        self._high = max(self._low + 1, math.ceil(math.log10(max(found)) - 1e-9))
        self._start, self._end = start, end

    def __call__(self, value: float) -> float:
        share = (math.log10(value) - self._low) / (self._high - self._low)
        return round(self._start + share * (self._end - self._start), 1)

    def ticks(self) -> list[float]:
        """The powers of ten."""
        return [10.0**power for power in range(self._low, self._high + 1)]
