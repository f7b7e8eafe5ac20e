"""Every single fault and every pair of faults, at every I/O of the short stories.

The second fault of a pair is placed at what the world does after the first one. Crashes at
moments that leave the same world behind are one, and so are faults of a request that the
agent cannot tell apart.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from itertools import pairwise
from typing import Final

import attrs

from .chaos import PLACED, PlacedChaos, Point
from .short_stories import STORIES, ShortStory
from .world import Driver, Result, World

Placement = tuple[int, str]
ALIKE: Final = frozenset(("slow", "5xx before", "5xx after", "NAS down", "fire late"))
"""In pairs these count as `lost before` or `lost after`, which they are to the agent."""
BY_NAME: Final = {story.name: story for story in STORIES}


@attrs.frozen
class Look:
    """What came of a story, or of one first fault and some of the second ones after it."""

    story: str
    points: int
    """Of the story's I/O."""
    runs: int
    broken: tuple[tuple[str, str], ...] = ()
    """Where the faults were, and what was wrong then."""


def play(
    story: ShortStory,
    placed: Sequence[Placement],
    driver: Driver,
    *,
    told: bool = False,
) -> tuple[Result, list[Point]]:
    """Let a story happen with these faults; also the points of I/O it then had."""
    scene = story.scene(dict(placed), converges_twice=len(placed) < 2)
    world = World(scene, driver, told=told)
    result = world.run()
    assert isinstance(world.chaos, PlacedChaos)
    return result, world.chaos.points


def placements(
    points: Sequence[Point], after: int = -1, without: Collection[str] = ()
) -> Iterator[Placement]:
    """Every fault at every point that comes later than `after`."""
    seen: set[object] = set()
    nobody = Point("", ("", 0, 0))
    for index, (point, following) in enumerate(pairwise([*points, nobody])):
        if index <= after:
            continue
        for kind in PLACED[point.site]:
            if kind in without:
                continue
            if point.site == "step":
                is_new = (kind, point.moment) not in seen
                seen.add((kind, point.moment))
                if not is_new or (kind.endswith(" after") and not _has_effect(point, following)):
                    continue
            yield index, kind


def _has_effect(point: Point, following: Point) -> bool:
    """Whether a crash after a step is another one than that before it, or before the next."""
    (owner, version, _), (next_owner, next_version, _) = point.moment, following.moment
    is_next = following.site == "step" and owner == next_owner
    return not is_next or next_version > version + 1


def explore(
    story: ShortStory,
    driver: Driver,
    *,
    share: Callable[[int], bool] = lambda number: True,
    pairs: Callable[[int], bool] = lambda number: True,
) -> Iterator[Look]:
    """The story itself, then each first fault with the second ones; `share` picks the first,
    `pairs` the second, by their number."""
    result, points = play(story, (), driver)
    yield Look(story.name, len(points), 1, _broken((), result))
    for number, first in enumerate(placements(points)):
        if not share(number):
            continue
        result, after = play(story, (first,), driver)
        runs, broken = 1, [*_broken((first,), result)]
        alone = first[1] in ALIKE or not story.in_pairs
        seconds = () if alone else placements(after, first[0], ALIKE)
        for count, second in enumerate(seconds):
            if pairs(number + count):
                result, _ = play(story, (first, second), driver)
                runs += 1
                broken += _broken((first, second), result)
        yield Look(story.name, 0, runs, tuple(broken))


def _broken(placed: Sequence[Placement], result: Result) -> tuple[tuple[str, str], ...]:
    problems = result.strands + result.doubles + result.others
    return ((written(placed), "; ".join(problems)),) if problems else ()


def written(placed: Sequence[Placement]) -> str:
    """Placements as text, for a person who wants to see such a run."""
    return ", ".join(f"{index}={kind}" for index, kind in placed)


def read(text: str) -> list[Placement]:
    """The placements of such a text."""
    pairs = (each.partition("=") for each in text.split(",") if each.strip())
    return [(int(index), kind.strip()) for index, _, kind in pairs]
