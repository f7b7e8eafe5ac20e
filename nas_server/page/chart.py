"""How late an agent's fires were over a day, as SVG. Pure.

Sizes are shares of whatever place the drawing is given, so that it fits a phone and its words
stay as large as all others; colours are those of the page's style sheet.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from statistics import median_low
from typing import Final

from nas_server.history import Attempt

DAY_MS: Final = 86_400_000
PARTS: Final = 48
"""Half hours."""
SCALE_MS: Final = 3_600_000
"""What is as late or later is as high as the chart."""
LINES: Final = ((10, "10 ms"), (1_000, "1 s"), (60_000, "1 min"), (SCALE_MS, "1 h"))
_HOURS: Final = ((0, "start", "24 h ago"), (50, "middle", "12 h ago"), (100, "end", "now"))
_TOP: Final = 12.0
_BOTTOM: Final = 86.0
"""Where the highest bar ends and all begin, in percent of the height; below are the hours."""


def lateness_chart(attempts: Iterable[Attempt], now: int) -> str:
    """Return a drawing of how late the first attempts of the last day were."""
    late: list[list[int]] = [[] for _ in range(PARTS)]
    for each in attempts:
        place = PARTS - 1 - (now - each.began_ms) * PARTS // DAY_MS
        if each.number == 1 and 0 <= place < PARTS:
            late[place].append(each.late_ms)
    every = sorted(ms for part in late for ms in part)
    said = f"Lateness over 24 hours: {_words(every)}" if every else "Nothing fired within a day"
    bars = (bar for n, part in enumerate(late) if part for bar in _bars(n, part))
    parts = [*_lines(), *bars, *_names()]  # what comes later is painted over the rest
    return f'<svg class="chart" role="img" aria-label="{said}">{"".join(parts)}</svg>'


def _lines() -> Iterator[str]:
    for ms, _ in LINES:
        y = f"{_y(ms):.2f}%"
        yield f'<line x1="0" x2="100%" y1="{y}" y2="{y}"/>'


def _names() -> Iterator[str]:
    for ms, name in LINES:
        yield f'<text x="4" y="{_y(ms):.2f}%" dy="-3">{name}</text>'
    for x, anchor, name in _HOURS:
        yield f'<text x="{x}%" y="97%" text-anchor="{anchor}">{name}</text>'


def _bars(place: int, late: Sequence[int]) -> Iterator[str]:
    width = 100 / PARTS
    ago = (PARTS - place) / 2
    told = f"<title>up to {ago:g} h ago: {_words(sorted(late))}</title>"
    for kind, ms in (("worst", max(late)), ("median", median_low(late))):
        y = _y(ms)
        yield (
            f'<rect class="{kind}" x="{place * width:.3f}%" width="{width * 0.8:.3f}%" '
            f'y="{y:.2f}%" height="{_BOTTOM - y:.2f}%">{told}</rect>'
        )


def _y(ms: int) -> float:
    """Return how far down a lateness is, in percent: each ten times as late is as much higher."""
    share = math.log10(min(max(ms, 1), SCALE_MS)) / math.log10(SCALE_MS)
    return _BOTTOM - max(share, 0.02) * (_BOTTOM - _TOP)


def _words(late: Sequence[int]) -> str:
    return f"{len(late)} first attempts, median {median_low(late)} ms, worst {late[-1]} ms"
