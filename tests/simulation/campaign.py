"""Many seeds, on every core: each worker is a process of its own, told apart by nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import attrs

from tools.demo.process import tied

ROOT: Final = Path(__file__).parents[2]
BUNDLED_ENV: Final = ROOT / ".cache" / "hermes" / "0.19.0"
SHOWN: Final = 5
"""Failing seeds whose numbers are shown."""


@attrs.frozen
class Work:
    """What a worker simulates."""

    provider: str = "ours"
    removal: str = ""
    fair: bool = False
    """Only with the kind of host that both providers run on."""


@attrs.define
class Tally:
    """What came of many seeds. Each counts once for each way it went wrong."""

    seeds: int = 0
    strands: list[int] = attrs.field(factory=list)
    doubles: list[int] = attrs.field(factory=list)
    others: list[int] = attrs.field(factory=list)
    runs: int = 0
    requests: int = 0
    events: int = 0
    faults: int = 0
    why: dict[int, list[str]] = attrs.field(factory=dict)
    """What was wrong with the failing seeds, in words."""

    @property
    def failing(self) -> list[int]:
        return sorted(self.why)

    @property
    def per_event(self) -> float:
        """Requests per event."""
        return self.requests / max(1, self.events)

    def add(self, result: dict[str, Any]) -> None:
        seed = int(result["seed"])
        self.seeds += 1
        for name in ("runs", "requests", "events", "faults"):
            setattr(self, name, getattr(self, name) + result[name])
        for name in ("strands", "doubles", "others"):
            if result[name]:
                getattr(self, name).append(seed)
                self.why.setdefault(seed, []).extend(result[name])


@attrs.frozen
class Found:
    """What came of one short story without a fault, or of one first fault in it and the pairs
    that begin with it."""

    story: str
    points: int
    """Of the story's I/O; 0 for a first fault."""
    runs: int
    broken: list[list[str]]
    """Where the faults were, and what was wrong then."""


def run(
    work: Work,
    first: int,
    seeds: int,
    *,
    workers: int | None = None,
    on_progress: Callable[[Tally], object] = lambda tally: None,
) -> Tally:
    """Simulate the seeds from `first` on. Raises RuntimeError when a worker breaks down."""
    count = min(seeds, workers or os.cpu_count() or 1)
    tally = Tally()

    def follow(number: int) -> None:
        for result in _worker(work, ["seeds", first + number, first + seeds, count]):
            tally.add(result)
            on_progress(tally)

    with ThreadPoolExecutor(max(1, count)) as pool:
        for _ in pool.map(follow, range(count)):
            pass
    return tally


def explore(
    work: Work,
    every: int,
    *,
    only: str = "",
    until_broken: bool = False,
    workers: int | None = None,
    on_progress: Callable[[Found], object] = lambda found: None,
) -> list[Found]:
    """Every single fault in the short stories, and of the pairs one in `every` (0: none).

    only: the name of one story. until_broken: look no further than to the first broken promise.
    """
    count = workers or os.cpu_count() or 1
    found: list[Found] = []

    def follow(number: int) -> None:
        for result in _worker(work, ["stories", number, count, every, only]):
            found.append(Found(**result))
            on_progress(found[-1])
            if until_broken and any(each.broken for each in found):
                return

    with ThreadPoolExecutor(count) as pool:
        for _ in pool.map(follow, range(count)):
            pass
    return found


def python_for(provider: str) -> Path:
    """The interpreter that has the provider."""
    return Path(sys.executable) if provider == "ours" else BUNDLED_ENV / "bin" / "python"


def _worker(work: Work, order: list[Any]) -> Iterator[dict[str, Any]]:
    """What one worker says while it works off an order of `worker`."""
    text = json.dumps([attrs.asdict(work), *order])
    command = [str(python_for(work.provider)), "-m", "tests.simulation.worker", text]
    with subprocess.Popen(tied(command), cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                yield json.loads(line)
        except GeneratorExit:  # nobody wants to know more
            process.kill()
            raise
    if process.returncode:
        raise RuntimeError(f"a worker ended with {process.returncode}; what it said is above")
