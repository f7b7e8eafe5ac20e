"""The planted-bug matrix: every bug, the check that must catch it, and all that did.

python -m tests.conformance.matrix [NAME …]
"""

import logging
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor

from tests.conformance.bugs import BUGS
from tests.conformance.planting import Bug, failed, run_kit

CLEAN = Bug("none", "the reference NAS as it is", "")


def caught(name: str) -> Sequence[str]:
    """The names of the checks that fail on a bug."""
    logging.disable()
    return failed(run_kit(next(bug for bug in (CLEAN, *BUGS) if bug.name == name)))


def main(names: Sequence[str]) -> int:
    """Print the matrix; 1 when a bug was not caught by its check."""
    chosen = [bug for bug in (CLEAN, *BUGS) if not names or bug.name in names]
    # Processes, because hypothesis is not made for several runs at a time in one.
    with ProcessPoolExecutor(3) as pool:
        rows = list(zip(chosen, pool.map(caught, [bug.name for bug in chosen]), strict=True))
    print(f"{'planted bug':<21}  {'what is wrong':<37}  {'caught by':<21}  also by")
    missed = 0
    for bug, found in rows:
        right = bug.caught_by in found if bug.caught_by else not found
        missed += not right
        said = bug.caught_by or "nothing"
        others = [name for name in found if name != bug.caught_by]
        mark = "" if right else "MISSED "
        print(f"{bug.name:<21}  {bug.words:<37}  {mark}{said:<21}  {', '.join(others)}".rstrip())
    print(f"{len(rows) - missed} of {len(rows)} as they must be")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
