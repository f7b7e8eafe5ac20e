"""The work of each row, once: by hermes with one provider or the other."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.side_by_side.agent import BUNDLED, OURS, Agent, RunError, World

DELAY_S = 0.03
JWKS_DELAY_S = 0.3
THREADS = 32
"""How many requests ours has under way at once."""
PROMPT = ("every 1d", "--name", "new", "--no-agent", "--script", "job.sh", "--deliver", "local")
_AHEAD_S = (8.0, 20.0, 60.0)
"""From the moment the job store is written to the first fire, by which all is armed; a busy
machine gets another try."""

Figures = Mapping[str, float]
Runs = Mapping[str, Sequence[Figures]]
"""By side. Most work is done by one side at a time."""


def cold(
    world: World,
    side: str,
    *,
    jobs: int,
    delay_s: float = DELAY_S,
    tls: bool = False,
    bundle: bool = True,
) -> Runs:
    """Start, and arm every job, none of which NAS knows."""
    with world.agent(side, jobs, tls=tls, bundle=bundle) as agent:
        run = _counted(world, agent, delay_s, "start")
        if delay_s:
            waves = run["requests"] / THREADS * delay_s
            run["over_ideal"] = run["seconds"] / waves
            # The list comes first, and what is written after it shares the connections.
            further = delay_s * math.ceil((run["requests"] - 1) / THREADS)
            if side == OURS and not tls and bundle:
                run |= _above(run, _host_seconds(world, jobs) + further)
        return {side: [run]}


def unchanged(world: World, side: str, *, jobs: int, respelt: bool) -> Runs:
    """Start when all is armed already; `respelt` as NAS may list it, in UTC with `Z`."""
    with world.agent(side, jobs) as agent:
        _arm(world, agent, jobs)
        world.nas.store.respells = respelt
        try:
            return {side: [_counted(world, agent, DELAY_S, "start")]}
        finally:
            world.nas.store.respells = False


def edited(world: World, side: str, *, jobs: int) -> Runs:
    """Edit one of many jobs at a prompt, all of them armed, listed as they were sent."""
    with world.agent(side, jobs) as agent:
        _arm(world, agent, jobs)
        one = sorted(agent.home.jobs())[jobs // 2]
        run = _counted(world, agent, DELAY_S, "edit", job_id=one)
    if side == OURS:
        run |= _above(run, _host_seconds(world, jobs))
    return {side: [run]}


def fires(world: World, side: str, *, jobs: int, count: int, gap_s: float) -> Runs:
    """From the 202 for a fire to the job's next one-shot, in a real `hermes serve`.

    NAS itself sends the fires, one at a time. The first one, which loads the provider, is
    left out.
    """
    with world.agent(side) as agent, agent.serving() as url:
        agent.configure(url)
        ids = _due_soon(world, agent, jobs, [n * gap_s for n in range(count + 1)])
        world.nas.delay_s = DELAY_S
        store = world.nas.store
        took = [store.accept_to_armed(agent.name, one) for one in ids[: count + 1]]
        world.nas.delay_s = 0.0
    runs: list[dict[str, Any]] = [{"seconds": seconds} for seconds in took[1:]]
    if side == OURS:
        floor = _host_fire_seconds(world, jobs, count)
        runs = [{**run, **_above(run, floor)} for run in runs]
    return {side: runs}


def _above(run: Mapping[str, Any], floor_s: float) -> dict[str, float]:
    """A run's floor, and what it takes above that: our part."""
    return {"floor_s": floor_s, "part_s": run["seconds"] - floor_s}


def _host_seconds(world: World, jobs: int) -> float:
    """What hermes itself and one request take to converge, whatever the provider does."""
    return _of_host(world, jobs, "host_converge")


def _host_fire_seconds(world: World, jobs: int, count: int) -> float:
    """What hermes itself takes for a fire, and one request to arm the next."""
    return _of_host(world, jobs, "host_fires", fires=count + 1)


def _of_host(world: World, jobs: int, name: str, fires: int = 0) -> float:
    with world.agent(BUNDLED, 0 if fires else jobs) as agent:
        told: dict[str, object] = {}
        if fires:
            told["job_ids"] = agent.seed(jobs, [time.time()] * fires)[:fires]
        world.nas.delay_s = DELAY_S
        try:
            return float(agent.run(name, url=f"{world.nas.url}/", **told)["seconds"])
        finally:
            world.nas.delay_s = 0.0


def burst(world: World, side: str, *, fires: int) -> Runs:
    """Verify that many fires at once with the verifier hermes loads, which has no keys yet."""
    with world.agent(side) as agent:
        before = world.nas.jwks_fetches
        world.nas.jwks_delay_s = JWKS_DELAY_S
        try:
            run = agent.run("burst", tokens=world.nas.fire_tokens(agent.access, fires))
        finally:
            world.nas.jwks_delay_s = 0.0
        run["floor_s"] = JWKS_DELAY_S  # the fetch; what comes to it is ours
        return {side: [{**run, "fetches": world.nas.jwks_fetches - before}]}


def available(world: World, side: str, *, calls: int) -> Runs:
    """Ask a provider that is warm whether it is available."""
    with world.agent(side) as agent:
        return {side: [agent.run("available", calls=calls)]}


def prompt(world: World, side: str, *, jobs: int) -> Runs:
    """Create the last of that many jobs with the command line while NAS hangs."""
    with world.agent(side, jobs - 1) as agent:
        with world.nas.hanging():
            start = time.perf_counter()
            done = agent.command("cron", "create", *PROMPT)
            seconds = time.perf_counter() - start
        if "Created job" not in done.stdout:
            raise RunError(f"hermes cron create: {done.stderr.strip()[-200:]}")
        return {side: [{"seconds": seconds, "silent": float("not armed" not in done.stderr)}]}


def token(world: World, side: str, *, calls: int) -> Runs:
    """Verify a token with warm keys; in the place of the bundled one stands bare PyJWT."""
    with world.agent(side) as agent:
        costs = agent.run("token", blocks=11, calls=calls)
    return {
        BUNDLED: [{alg: cost["bare"] for alg, cost in costs.items()}],
        OURS: [{alg: cost["ours"] for alg, cost in costs.items()}],
    }


def _due_soon(world: World, agent: Agent, jobs: int, offsets: Sequence[float]) -> list[str]:
    """Fill the store and arm it before the first job is due; the ids, those due first leading."""
    for ahead_s in _AHEAD_S:
        start = time.time() + ahead_s
        ids = agent.seed(jobs, [start + offset for offset in offsets])
        _arm(world, agent, jobs)
        if time.time() < start:
            return ids
    raise RunError("the jobs could not be armed before the first one was due")


def _arm(world: World, agent: Agent, jobs: int) -> None:
    """Have everything armed before what is measured; a busy machine may need another go."""
    for _ in range(3):
        agent.arm()
        if world.nas.armed(agent.name) >= jobs:
            return
    raise RunError(f"{jobs} jobs could not be armed beforehand")


def _counted(
    world: World, agent: Agent, delay_s: float, name: str, **arguments: object
) -> dict[str, Any]:
    usage = world.nas.watch(agent.access)
    world.nas.delay_s = delay_s
    try:
        run = agent.run(name, **arguments)
    finally:
        world.nas.delay_s = 0.0
    return {**run, "requests": usage.requests, "connections": len(usage.connections)}
