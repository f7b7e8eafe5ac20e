"""The locks hold what `pyproject.toml` asks for; `scripts/lock` writes them."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
EXTRAS: dict[str, list[str]] = PROJECT["project"]["optional-dependencies"]
GROUPS: dict[str, list[Any]] = PROJECT["dependency-groups"]
HERMES = sorted(file.stem for file in (ROOT / "requirements").glob("hermes-*.txt"))


def pins(lock: str) -> dict[str, str]:
    text = (ROOT / "requirements" / f"{lock}.txt").read_text()
    return dict(re.findall(r"^([a-z0-9-]+)(?:\[[^]]*\])?==(\S+)", text, re.M))


def group(name: str) -> list[str]:
    """The requirements of a dependency group, those of the groups in it included."""
    found: list[str] = []
    for entry in GROUPS[name]:
        found += [entry] if isinstance(entry, str) else group(entry["include-group"])
    return found


def unmet(requirements: list[str], lock: str) -> list[str]:
    """The requirements that a lock has no package for, or one of another version."""
    have = pins(lock)
    wanted = [Requirement(text) for text in requirements]
    return [
        str(one)
        for one in wanted
        if (pin := have.get(re.sub(r"[-_.]+", "-", one.name).lower())) is None
        or not one.specifier.contains(pin, prereleases=True)
    ]


BASE: list[str] = PROJECT["project"]["dependencies"]


def test_the_tools_lock_has_all_of_it() -> None:
    every = [*BASE, *(one for extra in EXTRAS.values() for one in extra), *group("dev")]
    assert unmet(every, "dev") == []


def test_the_lock_of_the_site_builder_has_all_of_it() -> None:
    assert unmet([*BASE, *group("docs")], "docs") == []


@pytest.mark.parametrize("lock", HERMES)
def test_a_hermes_lock_has_one_release_and_what_we_need(lock: str) -> None:
    release = (ROOT / "requirements" / f"{lock}.in").read_text().split()
    ours = [*BASE, *EXTRAS["chronos"], *EXTRAS["server"], *group("build")]
    assert unmet([*release, *ours], lock) == []
    assert lock == f"hermes-{release[0].partition('==')[2]}"


def test_a_lock_that_lags_behind_is_noticed() -> None:
    assert unmet(["attrs>=9999", "no-such-package", "attrs"], "dev") == [
        "attrs>=9999",
        "no-such-package",
    ]
