"""Times and tables for people, 80 columns wide."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime

_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))
NARROWEST = 8
"""Columns are made no narrower than this to fit."""


def length(seconds: float) -> str:
    """A length of time in its largest unit that counts at least two, such as `4 min`."""
    whole = abs(round(seconds))
    size, unit = next((each for each in _UNITS if whole >= 2 * each[0]), _UNITS[-1])
    return f"{whole // size} {unit}"


def distance(seconds: float) -> str:
    """How far off a moment is: `in 4 min`, `12 s ago`, `now`."""
    if abs(seconds) < 1:
        return "now"
    return f"in {length(seconds)}" if seconds > 0 else f"{length(seconds)} ago"


def moment(at: float, now: float) -> str:
    """An instant (epoch seconds) in local time with its distance: `14:05 (in 4 min)`."""
    return f"{clock(at, now)} ({distance(at - now)})"


def clock(at: float, now: float) -> str:
    """An instant in local time, no longer than it has to be: `14:05`, `Tue 14:05`, a date."""
    here = datetime.fromtimestamp(now)
    try:
        there = datetime.fromtimestamp(at)
    except (OverflowError, ValueError):  # such as the last hours of 9999, west of Greenwich
        return "after 9999" if at > now else "before 0001"
    if there.date() == here.date():
        return there.strftime("%H:%M")
    return there.strftime("%a %H:%M" if abs(at - now) < 6 * 86_400 else "%Y-%m-%d")


def count(number: int, noun: str) -> str:
    """A number of things: `1 job`, `2 jobs`."""
    return f"{number} {noun}{'s' * (number != 1)}"


def width() -> int:
    """Columns to write to: a terminal's, and 80 where there is none."""
    return max(40, shutil.get_terminal_size((80, 24)).columns) if sys.stdout.isatty() else 80


def table(
    rows: Sequence[Sequence[str]], columns: int, whole: Collection[int] = ()
) -> Iterable[str]:
    """Lines of a table whose first row is its head; wide columns give way from the left.

    Those whose index is in `whole` do not.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for index, wide in enumerate(widths):
        if index in whole:
            continue
        over = sum(widths) + 2 * (len(widths) - 1) - columns
        widths[index] = max(min(wide, NARROWEST), wide - max(0, over))
    for row in rows:
        cells = (_cut(cell, wide).ljust(wide) for cell, wide in zip(row, widths, strict=True))
        yield "  ".join(cells).rstrip()


def paragraph(text: str, columns: int, first: str, rest: str) -> str:
    """A text wrapped to so many columns; words, such as paths, stay whole."""
    return textwrap.fill(
        text,
        columns,
        initial_indent=first,
        subsequent_indent=rest,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _cut(cell: str, wide: int) -> str:
    return cell if len(cell) <= wide else f"{cell[: wide - 1]}…"
