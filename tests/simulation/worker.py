"""Simulates some seeds and prints one line of JSON for each; `campaign` starts it."""

from __future__ import annotations

import json
import sys

from .campaign import Work
from .removals import REMOVALS
from .world import Driver, World


def main(order: str) -> None:
    """Work off one order of `campaign`."""
    what, *seeds = json.loads(order)
    work = Work(**what)
    driver = prepare(work)
    for seed in range(*seeds):
        result = World(seed, driver, two_phases=not work.fair).run()
        about = {
            "seed": seed,
            "strands": result.strands,
            "doubles": result.doubles,
            "others": result.others,
            "runs": result.runs,
            "requests": result.requests,
            "events": result.events,
            "faults": result.faults.total(),
        }
        sys.stdout.write(json.dumps(about) + "\n")
        sys.stdout.flush()


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
