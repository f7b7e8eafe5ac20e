"""The rows of the benchmark: what is done, how often, and what ours is to reach."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import partial

import attrs

from benchmarks.side_by_side import work
from benchmarks.side_by_side.agent import BUNDLED, OURS, World
from benchmarks.side_by_side.figures import Line, Metric, Row, Summary
from benchmarks.side_by_side.work import JWKS_DELAY_S, Figures, Runs

TIME = Metric("seconds", "time", "s")
REQUESTS = Metric("requests", "requests")
CONNECTIONS = Metric("connections", "connections")
CPU = Metric("cpu_s", "CPU", "s")
MEMORY = Metric("rss_mb", "peak memory of the process", "MB")
IDEAL = Metric("over_ideal", "time / (requests / 32 x 30 ms)", "x")
FLOOR = Metric("floor_s", "floor: hermes's own and the requests", "s")
PART = Metric("part_s", "our part: above the floor", "s")
COLD = "cold-"
"""How the names of the rows begin that show how cost grows with the number of jobs."""

PART_MAX_S = 0.015
"""What ours may add to hermes's own work and one round trip, for a fire and for an edit."""

_COLD: dict[int, tuple[Metric, ...]] = {
    1: (attrs.evolve(TIME, at_least=0.9), FLOOR, PART, attrs.evolve(REQUESTS, at_most=3)),
    100: (
        attrs.evolve(TIME, at_least=25),
        FLOOR,
        PART,
        REQUESTS,
        attrs.evolve(CONNECTIONS, at_most=33),
        CPU,
    ),
    1_000: (
        attrs.evolve(TIME, at_least=80),
        FLOOR,
        PART,
        attrs.evolve(IDEAL, at_most=1.5),
        REQUESTS,
        CONNECTIONS,
        attrs.evolve(CPU, at_least=25),
    ),
}


@attrs.frozen
class Sizes:
    """How much is done, where both sides do it and where only ours does."""

    both: tuple[int, ...] = (1, 10, 100, 1_000)
    """Numbers of jobs to arm."""
    ours: tuple[int, ...] = (10_000,)
    middle: int = 100
    large: int = 1_000
    rounds: int = 7
    fires: int = 10
    fire_gap_s: float = 4.0
    burst: int = 30
    calls: int = 400
    prompt_jobs: int = 3

    def rounds_of(self, jobs: int) -> dict[str, int]:
        """Fewer where a run takes long."""
        few = max(1, self.rounds // 2)
        if jobs < 100:
            return {BUNDLED: self.rounds, OURS: self.rounds}
        return {BUNDLED: few if jobs < 1_000 else 1, OURS: few}


QUICK = Sizes(
    both=(1, 10, 30),
    ours=(100, 1_000),
    middle=30,
    large=300,
    rounds=3,
    fires=3,
    calls=100,
    prompt_jobs=1,
)


@attrs.frozen
class Task:
    """A row that is not measured yet. `runs`: how often, by side."""

    name: str
    title: str
    jobs: int
    metrics: tuple[Metric, ...]
    run: Callable[[World, str], Runs]
    runs: Mapping[str, int]


def tasks(sizes: Sizes) -> list[Task]:
    """All rows, in the order of the table."""
    even = {BUNDLED: sizes.rounds, OURS: sizes.rounds}
    few, once = sizes.rounds_of(sizes.middle), {BUNDLED: 1, OURS: 1}
    middle, large = sizes.middle, sizes.large
    return [
        *(_cold(jobs, sizes.rounds_of(jobs)) for jobs in sizes.both),
        *(_cold(jobs, {BUNDLED: 0, OURS: 1}) for jobs in sizes.ours),
        Task(
            "no-delay",
            f"cold converge, {_jobs(middle)}, NAS answers at once",
            middle,
            (TIME, CPU),
            partial(work.cold, jobs=middle, delay_s=0.0),
            few,
        ),
        Task(
            "no-bundle",
            f"cold converge, {_jobs(middle)}, no SSL_CERT_FILE",
            middle,
            (TIME, CPU),
            partial(work.cold, jobs=middle, bundle=False),
            few,
        ),
        Task(
            "tls",
            f"cold converge, {_jobs(middle)}, over TLS",
            middle,
            (TIME, CONNECTIONS, CPU),
            partial(work.cold, jobs=middle, tls=True),
            few,
        ),
        Task(
            "unchanged",
            f"all armed, times listed as Z, {_jobs(middle)}",
            middle,
            (TIME, attrs.evolve(REQUESTS, at_most=1)),
            partial(work.unchanged, jobs=middle, respelt=True),
            few,
        ),
        Task(
            "edited",
            f"one job edited among {large:,}",
            large,
            (
                TIME,
                FLOOR,
                attrs.evolve(PART, at_most=PART_MAX_S),
                attrs.evolve(REQUESTS, at_most=3),
                attrs.evolve(CONNECTIONS, at_most=1),
            ),
            partial(work.edited, jobs=large),
            even,
        ),
        Task(
            "fire",
            f"a fire, accept to next armed, {_jobs(large)}",
            large,
            (TIME, FLOOR, attrs.evolve(PART, at_most=PART_MAX_S)),
            partial(work.fires, jobs=large, count=sizes.fires, gap_s=sizes.fire_gap_s),
            once,
        ),
        Task(
            "burst",
            f"{sizes.burst} fires at once, cold keys",
            0,
            (
                Metric("p99_s", "p99", "s", at_most=1.2 * JWKS_DELAY_S),
                attrs.evolve(FLOOR, label="floor: the fetch of the keys"),
                Metric("fetches", "fetches of the keys, 300 ms each", at_most=1),
            ),
            partial(work.burst, fires=sizes.burst),
            even,
        ),
        Task(
            "available",
            "is_available(), warm",
            0,
            (attrs.evolve(TIME, at_most=0.0007),),
            partial(work.available, calls=sizes.calls),
            even,
        ),
        Task(
            "prompt",
            f"hermes cron create, NAS hanging, {_jobs(sizes.prompt_jobs)}",
            sizes.prompt_jobs,
            (
                attrs.evolve(TIME, at_most=10),
                Metric("silent", "without a word about it", "yes/no", at_most=0),
            ),
            partial(work.prompt, jobs=sizes.prompt_jobs),
            once,
        ),
        Task(
            "token",
            "a verified token, beside bare PyJWT",
            0,
            tuple(Metric(alg, f"CPU, {alg}", "s", at_least=1 / 1.15) for alg in ("RS256", "ES256")),
            partial(work.token, calls=sizes.calls),
            {BUNDLED: 0, OURS: sizes.rounds},
        ),
        Task(
            "memory",
            f"all armed, {_jobs(max(sizes.ours))}",
            max(sizes.ours),
            (MEMORY, TIME, CPU),
            partial(work.unchanged, jobs=max(sizes.ours), respelt=False),
            once,
        ),
    ]


def measure(task: Task, world: World) -> Row:
    """Do the runs of a row, the sides taking turns."""
    load = os.getloadavg()[0]
    done: dict[str, list[Figures]] = {BUNDLED: [], OURS: []}
    for number in range(max(task.runs.values())):
        for side in (OURS, BUNDLED) if number % 2 else (BUNDLED, OURS):
            if number < task.runs[side]:
                for whose, runs in task.run(world, side).items():
                    done[whose] += runs
    lines = tuple(
        Line(metric, *(_summary(done[side], metric.key) for side in (BUNDLED, OURS)))
        for metric in task.metrics
    )
    return Row(task.name, task.title, task.jobs, lines, load)


def _cold(jobs: int, runs: Mapping[str, int]) -> Task:
    metrics = _COLD.get(jobs, (TIME, REQUESTS, CONNECTIONS, CPU))
    if runs[BUNDLED] == 0:
        metrics = (*metrics, MEMORY)
    title = f"cold converge, {_jobs(jobs)}"
    return Task(f"{COLD}{jobs}", title, jobs, metrics, partial(work.cold, jobs=jobs), runs)


def _jobs(count: int) -> str:
    return f"{count:,} job" + "s" * (count != 1)


def _summary(runs: list[Figures], key: str) -> Summary | None:
    return Summary.of([run[key] for run in runs if key in run])
