"""The figures as text for a terminal of 80 columns, and as the table of the documentation."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.side_by_side.figures import Line, Metric, Result, Row, Summary

HEAD = f"{'ratio':>7}  {'':38}{'bundled':>13}{'ours':>13}"
NOTE = (
    "ratio: how many times less ours takes. Medians; ± is half of what lies between\n"
    "the lowest and the highest run. A target is met (ok) or MISSED."
)


def terminal(result: Result) -> str:
    """The whole table."""
    lines = [line for row in result.rows for line in row_lines(row)]
    return "\n".join([about(result), "", HEAD, *lines, "", NOTE])


def about(result: Result) -> str:
    """When and on what this was measured, and whether its times can be relied on."""
    told = result.about
    busy = max([told["load"], *(row.load for row in result.rows)]) > 2 * told["cpus"]
    warning = ".\nThe machine was busy with other work: rely on counts and CPU, not on times"
    return (
        f"{told['date']}, hermes {told['hermes']}, Python {told['python']}, {told['cpus']} CPUs, "
        f"load {told['load']:.1f}, {told['minutes']:.0f} min{warning if busy else ''}"
    )


def row_lines(row: Row) -> Iterator[str]:
    """A row: its title, then one line per metric and one per target."""
    yield f"{'':9}{row.title}"
    for line in row.lines:
        shown = f"{factor(line.ratio):>7}    {line.metric.label:36}"
        yield f"{shown}{cell(line.bundled, line.metric):>13}{cell(line.ours, line.metric):>13}"
        if line.is_met is not None:
            yield f"{'':11}{'ok' if line.is_met else 'MISSED':>6}  to reach: {target(line.metric)}"


def page(result: Result) -> str:
    """The table for the documentation, ratios first, and what it was measured on."""
    rows = [
        "| ratio | work | | bundled | ours | to reach |",
        "| --: | --- | --- | --: | --: | --- |",
    ]
    for row in result.rows:
        for number, line in enumerate(row.lines):
            rows.append(_markdown_row("" if number else row.title, line))
    return "\n".join([*rows, "", f"Measured {about(result)}.", ""])


def _markdown_row(title: str, line: Line) -> str:
    metric = line.metric
    verdict = {None: "", True: f"{target(metric)}: yes", False: f"{target(metric)}: **no**"}
    ratio = f"**{factor(line.ratio)}**" if title and line.ratio else factor(line.ratio)
    cells = [cell(line.bundled, metric), cell(line.ours, metric), verdict[line.is_met]]
    return f"| {' | '.join([ratio, title, metric.label, *cells])} |".replace("|  |", "| |")


def target(metric: Metric) -> str:
    """What ours is to reach, in words."""
    if metric.at_least is not None:
        if metric.at_least < 1:
            return f"at most {1 / metric.at_least:.2f} times its cost"
        return f"at least {metric.at_least:.3g} times"
    most = amount(metric.at_most or 0.0, metric.unit)
    return most if metric.unit == "yes/no" else f"at most {most}"


def cell(summary: Summary | None, metric: Metric) -> str:
    """A median and its spread, such as `12.1 s ±3%`; a dash without runs."""
    if summary is None:
        return "-"
    text = amount(summary.median, metric.unit)
    spread = (summary.high - summary.low) / 2
    if summary.runs > 1 and summary.median and metric.unit not in ("", "yes/no"):
        text += f" ±{spread / summary.median:.0%}"
    return text


def amount(value: float, unit: str) -> str:
    """A value with its unit, in three digits."""
    if unit == "s":
        for below, scale, name in ((1e-3, 1e6, "µs"), (1.0, 1e3, "ms"), (1e9, 1.0, "s")):
            if value < below:
                return f"{_digits(value * scale)} {name}"
    if unit == "yes/no":
        return "yes" if value else "no"
    return f"{_digits(value)} {unit}".rstrip() if unit else f"{value:,.0f}"


def factor(ratio: float | None) -> str:
    """A ratio such as `27x`; empty without one."""
    return "" if ratio is None else f"{_digits(ratio) if ratio >= 1 else f'{ratio:.2f}'}x"


def _digits(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
