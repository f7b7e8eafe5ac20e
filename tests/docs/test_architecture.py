"""The page on the architecture names every package there is, and how large it is."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "architecture.md").read_text("utf-8")
TOPS = ("nas_sdk", "nas_server", "nas_conformance", "chronos_plugin")
WHOLE = ("nas_sdk/_generated",)
"""Folders that are told of with what is below them."""


def packages() -> dict[str, int]:
    """The lines of every folder of code, without those of the folders in it."""
    found: dict[str, int] = {}
    for file in (file for top in TOPS for file in (ROOT / top).rglob("*.py")):
        folder = file.parent.relative_to(ROOT).as_posix()
        name = next((whole for whole in WHOLE if folder.startswith(whole)), folder)
        found[name] = found.get(name, 0) + len(file.read_text("utf-8").splitlines())
    return found


def test_every_package_is_on_the_page_with_its_size() -> None:
    told = {
        name: int(lines) for name, lines in re.findall(r"^\| `(\S+)` .*\| (\d+) \|$", PAGE, re.M)
    }
    real = packages()
    assert told.keys() == real.keys()
    wrong = {
        name: (told[name], lines) for name, lines in real.items() if not _fits(told[name], lines)
    }
    assert wrong == {}


def _fits(told: int, lines: int) -> bool:
    """To a half, or 50 lines: it says what is large, and need not be kept up daily."""
    return abs(told - lines) <= max(50, lines / 2)
