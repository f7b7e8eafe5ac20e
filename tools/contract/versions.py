"""Whether a version says enough about the changes it brings."""

from collections.abc import Sequence

from tools.contract.change import Change, Weight

Version = tuple[int, int, int]


def parse(text: str) -> Version:
    """Three numbers of a version. ValueError when it does not have them."""
    parts = text.split(".")
    if len(parts) != 3 or not all(part.isdigit() for part in parts):
        raise ValueError(f"{text!r} is not MAJOR.MINOR.PATCH")
    return int(parts[0]), int(parts[1]), int(parts[2])


def needed(base: str, changes: Sequence[Change]) -> str:
    """The least version that may follow `base` with these changes."""
    major, minor, patch = parse(base)
    weights = {change.weight for change in changes}
    if Weight.BREAKING in weights and major:
        return f"{major + 1}.0.0"
    if weights & {Weight.BREAKING, Weight.SAFE}:
        return f"{major}.{minor + 1}.0"  # before 1.0.0 a minor version may break
    return f"{major}.{minor}.{patch + 1}" if weights else base


def enough(base: str, head: str, changes: Sequence[Change]) -> bool:
    """Whether `head` may be the version of what `changes` made of `base`.

    A change that breaks nobody is let through without a new version; it is only said.
    """
    breaking = [change for change in changes if change.weight is Weight.BREAKING]
    least = needed(base, breaking) if breaking else base
    return parse(head) >= parse(least)
