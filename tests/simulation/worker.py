"""Simulates some seeds or short stories, one line of JSON each; `campaign` starts it."""

from __future__ import annotations

import gc
import json
import sys
from collections.abc import Iterator
from typing import Any

import attrs

from .campaign import Work
from .exhaustive import explore
from .removals import REMOVALS
from .scene import draw
from .short_stories import STORIES
from .world import Driver, World


def main(order: str) -> None:
    """Work off one order of `campaign`."""
    what, kind, *numbers = json.loads(order)
    work = Work(**what)
    driver = prepare(work)
    # What is there by now lasts; a world leaves little behind that is not freed by itself.
    gc.freeze()
    gc.set_threshold(100_000)
    for said in (_seeds if kind == "seeds" else _stories)(work, driver, *numbers):
        sys.stdout.write(json.dumps(said) + "\n")
        sys.stdout.flush()


def _seeds(work: Work, driver: Driver, *seeds: int) -> Iterator[dict[str, Any]]:
    for seed in range(*seeds):
        result = World(draw(seed, one_phase=work.fair), driver).run()
        yield {
            "seed": seed,
            "strands": result.strands,
            "doubles": result.doubles,
            "others": result.others,
            "runs": result.runs,
            "requests": result.requests,
            "events": result.events,
            "faults": result.faults.total(),
        }


def _stories(
    work: Work, driver: Driver, number: int, workers: int, every: int, only: str
) -> Iterator[dict[str, Any]]:
    """`number` of `workers`; see `campaign.explore`."""
    for story in (each for each in STORIES if only in ("", each.name)):
        for look in explore(
            story,
            driver,
            share=lambda first: first % workers == number,
            pairs=lambda pair: every > 0 and pair % every == 0,
        ):
            if number == 0 or not look.points:
                yield attrs.asdict(look)


def prepare(work: Work) -> Driver:
    """Make this process one for such work; what it does to the code cannot be undone."""
    if work.removal:
        REMOVALS[work.removal].remove()
    if work.provider == "ours":
        from .ours import Ours

        return Ours
    from .bundled import Bundled

    return Bundled


if __name__ == "__main__":
    main(sys.argv[1])
