"""The figures as text for a terminal of 80 columns, and as the table of the documentation."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.side_by_side.figures import Line, Metric, Result, Row, Summary

HEAD = f"{'ratio':>7}  {'':40}{'bundled':>13}{'ours':>13}"
NOTE = (
    "ratio: how many times less ours takes. Medians; ± is half of what lies between the\n"
    "lowest and the highest run. A target is met (ok) or MISSED."
)


def terminal(result: Result) -> str:
    """The whole table."""
    about = result.about
    told = f"hermes {about['hermes']}, Python {about['python']}, {about['cpus']} CPUs, "
    told += f"load {about['load']:.1f}, {about['minutes']:.0f} min, {about['date']}"
    lines = [line for row in result.rows for line in row_lines(row)]
    return "\n".join([told, "", HEAD, *lines, "", NOTE])


def row_lines(row: Row) -> Iterator[str]:
    """A row: its title, then one line per metric and one per target."""
    yield f"{'':9}{row.title}"
    for line in row.lines:
        shown = f"{factor(line.ratio):>7}    {line.metric.label:38}"
        yield f"{shown}{cell(line.bundled, line.metric):>13}{cell(line.ours, line.metric):>13}"
        if line.is_met is not None:
            yield f"{'':11}{'ok' if line.is_met else 'MISSED':>6}  to reach: {target(line.metric)}"


def markdown(result: Result) -> str:
    """The table for the documentation, ratios first."""
    rows = [
        "| ratio | work | | bundled | ours | to reach |",
        "| --: | --- | --- | --: | --: | --- |",
    ]
    for row in result.rows:
        for number, line in enumerate(row.lines):
            rows.append(_markdown_row("" if number else row.title, line))
    return "\n".join(rows)


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
    return f"at most {amount(metric.at_most or 0.0, metric.unit)}"


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
    return "" if ratio is None else f"{_digits(ratio)}x"


def _digits(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
