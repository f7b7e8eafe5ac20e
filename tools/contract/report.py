"""Changes for a person to read."""

import textwrap
from collections.abc import Iterator, Sequence

from tools.contract import versions
from tools.contract.change import Change, Weight

TITLES = {
    Weight.BREAKING: "breaking",
    Weight.SAFE: "safe",
    Weight.WORDS: "words only",
}


def lines(title: str, changes: Sequence[Change]) -> Iterator[str]:
    """The changes under their weight, the heaviest first, at most 80 columns wide."""
    yield f"{title}: {len(changes) or 'no'} change{'s' * (len(changes) > 1)}"
    for weight, about in TITLES.items():
        those = [change for change in changes if change.weight is weight]
        if those:
            yield f"  {about}:"
        for change in those:
            line = f"{change.where}: {change.what}"
            yield textwrap.fill(line, 79, initial_indent="    - ", subsequent_indent="      ")


def verdict(had: str, has: str, changes: Sequence[Change]) -> int:
    """Say whether version `has` is right after `had`. Returns the exit status."""
    wanted = versions.needed(had, changes)
    if not versions.enough(had, has, changes):
        print(f"version {has} does not say so: it has to be {wanted} at least")
        return 1
    if versions.parse(has) < versions.parse(wanted):
        print(f"version {has} is let through; {wanted} would say what changed")
    return 0
