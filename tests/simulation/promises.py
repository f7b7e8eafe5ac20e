"""What is promised, and whether a world is in order."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Final

from nas_sdk.protocol.one_shot import due_ms
from nas_sdk.reconcile.desired import WATCHDOG

from .chaos import CRASHES
from .store import Job, Store

if TYPE_CHECKING:
    from .world import World

PER_EVENT: Final = 7
"""Requests that one event may cost; it is 2.8 on average where nothing fails."""
PER_FAULT: Final = 2
"""Requests that one fault may cost on top of it."""
PER_WORLD: Final = 10
EXCUSES: Final = (*CRASHES, "stopped by hand")
CONVERGE_SECONDS: Final = 5.0
TRIES: Final = 20


def disorder(world: World) -> list[str]:
    """What is forgotten or armed in vain right now, in words; empty in good order.

    Where the machine died between a change of the store and its converge, one arm may be left
    that is too early or in vain: nobody is there to know better. It wakes the agent, which
    refuses it and puts it right.
    """
    excused = any(world.chaos.counts[kind] for kind in EXCUSES)
    now = world.engine.now * 1000
    armed = {job_id: one.due_ms for job_id, one in world.nas.armed().items()}
    problems = []
    for home, store in world.machine.stores.items():
        for job_id, job in store.records.items():
            if Store.is_runnable(job) and job["next_run_at"]:
                due = due_ms(job["next_run_at"])
                at = armed.get(job_id)
                is_armed = at == due or (excused and at is not None and now < at < due)
                if not is_armed and not _is_running(world, home, job):
                    problems.append(_forgotten(job_id, job, job_id in armed))
                armed.pop(job_id, None)
    vain = [
        job_id
        for job_id, at in armed.items()
        if not job_id.startswith(WATCHDOG) and not (excused and now < at)
    ]
    return problems + [f"{job_id} is armed in vain" for job_id in vain]


def is_running_anything(world: World) -> bool:
    """Whether any job runs; while it does, its next fire may still go wrong."""
    return any(
        _is_running(world, home, job)
        for home, store in world.machine.stores.items()
        for job in store.records.values()
    )


def _is_running(world: World, home: Path, job: Job) -> bool:
    """Whether a live process has the job's fire in hand, such as one it holds until it is due."""
    name = f"fire of {job['id']}"
    if any(world.engine.has_thread(process, name) for process in world.machine.processes):
        return True
    execution = world.machine.stores[home].executions.get(job["id"])
    return bool(execution and execution["open"] and execution["owner"].alive)


def _forgotten(job_id: str, job: Job, is_armed: bool) -> str:
    state = "armed for another time" if is_armed else "not armed"
    return f"{job_id} is {state}; it is due at {job['next_run_at']}"


def second_converge(world: World) -> list[str]:
    """Converge twice in a quiet moment; what the second one wrote."""
    world.machine.wake(lambda: None)
    world.engine.rest(world.shape.boot_seconds + CONVERGE_SECONDS)
    for _ in range(TRIES):
        if _is_quiet(world):
            break
        world.engine.rest(CONVERGE_SECONDS)
    else:
        return []
    world.people.converge()
    world.engine.rest(CONVERGE_SECONDS)
    writes = world.nas.writes
    world.people.converge()
    world.engine.rest(CONVERGE_SECONDS)
    more = world.nas.writes - writes
    return [f"a second converge wrote {more} times"] if more else []


def _is_quiet(world: World) -> bool:
    """Whether nothing is under way, nor due within two converges by anybody's clock."""
    soon = max(world.engine.now, world.machine.clock()) + 3 * CONVERGE_SECONDS
    dues = [one.due_ms / 1000 for one in world.nas.armed().values()]
    for store in world.machine.stores.values():
        jobs = [job for job in store.records.values() if Store.is_runnable(job)]
        dues += [due_ms(job["next_run_at"]) / 1000 for job in jobs if job["next_run_at"]]
    busy = any(each.busy or each.kind == "command" for each in world.machine.processes)
    return world.machine.is_on and not busy and min(dues, default=soon) >= soon


def requests(count: int, events: int, faults: Counter[str]) -> list[str]:
    """Whether a world's requests are within bounds."""
    bound = PER_EVENT * events + PER_FAULT * faults.total() + PER_WORLD
    return [] if count <= bound else [f"{count} requests for {events} events and {faults}"]
