"""What became of every step on every release: as a table, as JSON, as a page."""

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field

from tools.hosts.life import FAILED, LACKING, NOT_TRIED, STEPS, Cell

WIDTH = 80
_FIRST, _COLUMN = 14, 5


@dataclass
class Row:
    """One release: its steps by name, or why none could be tried."""

    release: str
    version: str
    cells: dict[str, Cell] = field(default_factory=dict)
    setup_error: str = ""
    """Why it could not be set up; the reason is not the release's behaviour."""
    seconds: float = 0.0

    @property
    def failed(self) -> bool:
        """Whether something does not work on it that should."""
        return any(cell.state == FAILED for cell in self.cells.values())

    def summary(self) -> str:
        """How it went, in a line."""
        if self.setup_error:
            return f"{self.release}: not tried"
        bad = [name for name in STEPS if self.cells[name].state == FAILED]
        good = f"failed: {', '.join(bad)}" if bad else "all well"
        return f"{self.release}: {good} ({self.seconds:.0f} s)"


def as_text(rows: Sequence[Row]) -> str:
    """The table, and beneath it every cell that is not ok. No line is longer than `WIDTH`."""
    lines = [*_heads(), *(_line(row) for row in rows)]
    for row in rows:
        for name, text in _remarks(row):
            lines += _wrapped(f"{row.version} {name}: " if name else f"{row.version}: ", text)
    return "\n".join(lines)


def as_json(rows: Sequence[Row]) -> list[dict[str, object]]:
    """The same for programs: a list of releases, each with its steps in order."""
    return [{**asdict(row), "cells": {n: asdict(c) for n, c in _ordered(row)}} for row in rows]


def as_markdown(rows: Sequence[Row]) -> str:
    """The same as tables of a page, a column per step."""
    head = ["release", *STEPS]
    lines = [_bars(head), _bars(["---"] * len(head))]
    lines += [_bars([row.version, *(_state(row, name) for name in STEPS)]) for row in rows]
    told = ((row.version, name, text) for row in rows for name, text in _remarks(row))
    reasons = [f"- {version}, {name or 'all'}: {text}" for version, name, text in told]
    return "\n".join([*lines, "", *reasons]).strip() + "\n"


SHORT = {
    "loads Chronos": ("load", "verify", "doctor"),
    "arms and fires": ("create", "arm", "fire", "run", "re-arm", "direct"),
    "pause, resume, remove": ("pause", "resume", "remove"),
    "`hermes pause`": ("pause all",),
}
"""What a visitor wants to know first, and the steps that say it."""


def as_summary(rows: Sequence[Row]) -> str:
    """The same for the front page: fewer columns, and no reasons."""
    head = ["hermes", *SHORT]
    lines = [_bars(head), _bars(["---"] * len(head))]
    for row in rows:
        lines.append(_bars([row.version, *(_worst(row, names) for names in SHORT.values())]))
    return "\n".join(lines) + "\n"


def _worst(row: Row, names: Sequence[str]) -> str:
    states = {_state(row, name) for name in names}
    return next((bad for bad in (FAILED, NOT_TRIED, LACKING) if bad in states), "ok")


def from_page(text: str) -> list[Row]:
    """Read back what `as_markdown` gave, without the reasons."""
    lines = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    head, _, *rest = lines
    return [
        Row(
            release=version,
            version=version,
            cells={n: Cell(s) for n, s in zip(head[1:], states, strict=True) if s != NOT_TRIED},
        )
        for version, *states in rest
    ]


def _heads() -> Iterator[str]:
    """Two lines: neighbours have their names in different ones, so that they have room."""
    for first in (0, 1):
        names = "".join(f"{name:<{2 * _COLUMN}}" for name in STEPS[first::2])
        yield f"{'' if first else 'release':<{_FIRST}}{' ' * _COLUMN * first}{names}".rstrip()


def _line(row: Row) -> str:
    states = "".join(f"{_state(row, name):<{_COLUMN}}" for name in STEPS)
    return f"{row.version:<{_FIRST}}{states}".rstrip()


def _state(row: Row, name: str) -> str:
    return row.cells[name].state if name in row.cells else NOT_TRIED


def _ordered(row: Row) -> Iterator[tuple[str, Cell]]:
    return ((name, row.cells[name]) for name in STEPS if name in row.cells)


def _remarks(row: Row) -> Iterator[tuple[str, str]]:
    """The reason of every cell that is not ok, and what hermes said, by name of the step."""
    if row.setup_error:
        yield "", row.setup_error
    for name, cell in _ordered(row):
        if cell.state in (FAILED, LACKING):
            yield name, " | ".join([" ".join(cell.reason.split()), *cell.said])


def _wrapped(head: str, text: str) -> list[str]:
    lines = text.splitlines() or [""]
    lines[0] = head + lines[0]
    return [
        part
        for line in lines
        for part in textwrap.wrap(line, WIDTH, subsequent_indent="    ") or [""]
    ]


def _bars(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
