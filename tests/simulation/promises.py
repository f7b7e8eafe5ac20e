"""What is promised, and whether a world is in order."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Final

from nas_sdk.protocol.one_shot import due_ms
from nas_sdk.reconcile.desired import SPARE, WATCHDOG

from .chaos import CRASHES
from .store import Job, Store

if TYPE_CHECKING:
    from .process import OsProcess
    from .world import World

PER_EVENT: Final = 6
"""Requests that one event may cost; it is 2.8 on average where nothing fails."""
PER_FAULT: Final = 2
"""Requests that one fault may cost on top of it."""
PER_WORLD: Final = 10
EXCUSES: Final = (*CRASHES, "stopped by hand")
SETTLED_SECONDS: Final = 55.0
"""How long a store must have been empty before everything is cancelled that was armed for it."""
PLAN_SECONDS: Final = 200.0
"""How long a process may take to send what it has planned."""
FREE_WAKES: Final = 5
"""How often a job that is refused may wake the agent before the waits are at their longest."""
LONGEST_WAIT_SECONDS: Final = 900.0
"""The waits between its wakes then."""
LOOK_SECONDS: Final = 60.0
"""How often a server looks again at what may change without a word."""
LOOK_REQUESTS: Final = 1
"""Requests of one such look: at a job that is due and not run, or at a store that is lost."""
WAKING: Final = (
    *EXCUSES,
    *("killed by a fire", "fire lost", "fire doubled", "answer lost", "NAS forgets"),
    *("clock jump", "claim rolled back", "claims refused"),
)
"""The faults after which a job may be fired once more."""
SKEW_SECONDS: Final = 21.0
"""How far an agent's clock may be off."""
FOLLOWER: Final = "nas-changes"
MOST_THREADS: Final = 12
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
        for job_id, job in store.jobs.items():
            if _is_to_fire(job):
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


def is_watchdog_spent(world: World) -> bool:
    """Whether a fault met the watchdog's own fire on a host of one phase.

    NAS has its answer there before the provider is asked, so that the watchdog is spent before
    the next one can be armed. What is due then waits for the second one.
    """
    armed, last = world.nas.armed(), world.chaos.last
    fired = {job_id for at, job_id in world.nas.fires if at <= last and _is_first(job_id)}
    return not world.shape.host.two_phases and bool(fired - armed.keys())


def _is_first(job_id: str) -> bool:
    return job_id.startswith(WATCHDOG) and not job_id.endswith(SPARE)


def is_running_anything(world: World) -> bool:
    """Whether any job runs; while it does, its next fire may still go wrong."""
    return any(
        _is_running(world, home, job)
        for home, store in world.machine.stores.items()
        for job in store.jobs.values()
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


def check_cancel(world: World, process: OsProcess, job_id: str) -> None:
    """Note a cancel of what is still wanted, by a process that could not read its store."""
    for home, store in world.machine.stores.items():
        read_at = process.read_at.get(home, store.lost_at)
        if read_at < store.lost_at and world.engine.now - read_at < PLAN_SECONDS:
            continue  # it was planned before, by what was known then
        wanted = {id_ for id_, job in store.jobs.items() if _is_to_fire(job)}
        if wanted and not world.shape.always_on:  # there it is for a while alone
            watchdog = WATCHDOG + hashlib.sha256(str(home).encode()).hexdigest()[:12]
            wanted |= {watchdog, watchdog + SPARE}
        if job_id in wanted and (
            store.unreadable or (store.lost and not _is_settled(world, process, store))
        ):
            world.ledger.forbid(f"{job_id} is cancelled while its store cannot be read")


def _is_settled(world: World, process: OsProcess, store: Store) -> bool:
    """Whether an empty store means that there are no jobs: it has been so for a while, or there
    is not more than one to lose, as far as the process can tell."""
    age = world.engine.now - store.lost_at
    is_one = len(process.listed & store.jobs.keys()) <= 1
    return store.lost == "emptied" and (is_one or age >= SETTLED_SECONDS)


def _is_to_fire(job: Job) -> bool:
    return Store.is_runnable(job) and bool(job["next_run_at"])


def wakes(world: World) -> list[str]:
    """Whether a job that its host refuses to run wakes the agent less and less."""
    problems = []
    for start, end, job_id in world.machine.mishaps.refusals:
        fires = sum(start < at <= end for at, fired in world.nas.tries if fired == job_id)
        faults = sum(world.chaos.counts[kind] for kind in WAKING)
        wait = LONGEST_WAIT_SECONDS / (2 if _fires_twice(world) else 1)
        bound = FREE_WAKES + (end - start) / wait + faults
        if fires > bound:
            problems.append(f"{fires} wakes for {job_id}, refused for {end - start:.0f} s")
    return problems


def _fires_twice(world: World) -> bool:
    """Whether a second fire comes in each wait.

    It does where the machine stops before anybody looks again. And where two servers start with
    it: the one that did not get the fire takes it for lost, and arms the job for its latest try
    by its own clock. Only a clock behind NAS's makes that an earlier one than was just fired.
    """
    shape = world.shape
    stops_soon = not shape.always_on and shape.idle_seconds < LOOK_SECONDS
    skews = (shape.skew, *(skew for _, skew in world.chaos.plan.jumps))
    return stops_soon or (len(shape.servers) > 1 and min(skews) < 0)


def threads(world: World) -> list[str]:
    """Whether a process has more threads that follow a file than homes, or too many in all."""
    problems = []
    for process in world.machine.processes:
        count = world.engine.threads(process)
        jobs = sum(len(store.jobs) for store in world.machine.stores.values())
        if count[FOLLOWER] > len(world.machine.homes) or count.total() > MOST_THREADS + 3 * jobs:
            problems.append(f"{process.name} has the threads {dict(count)}")
    return problems


def rearmed(world: World, process: OsProcess, home: Path, claimed: Job, since: float) -> None:
    """Note a job that was not armed again though its process lived on unharmed.

    What is taken back again is tried less and less.
    """
    job_id = claimed["id"]
    job = world.machine.stores[home].jobs.get(job_id)
    is_first = world.ledger.claims[home, job_id, claimed["occurrence"]] == 1
    unharmed = process.alive and world.chaos.last <= since and is_first
    if not (job and unharmed and _is_to_fire(job)) or _is_running(world, home, job):
        return
    if due_ms(job["next_run_at"]) > (since - SKEW_SECONDS) * 1000:
        return  # a person's, before its time
    armed = world.nas.armed().get(job_id)
    if armed is None or armed.due_ms > (world.engine.now + SKEW_SECONDS) * 1000:
        world.ledger.forbid(f"{job_id} is not armed a minute after its claim was taken back")


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
        jobs = filter(_is_to_fire, store.jobs.values())
        dues += [due_ms(job["next_run_at"]) / 1000 for job in jobs]
    busy = any(each.busy or each.kind == "command" for each in world.machine.processes)
    return world.machine.is_on and not busy and min(dues, default=soon) >= soon


def requests(world: World, count: int, events: int) -> list[str]:
    """Whether a world's requests are within bounds."""
    faults, mishaps = world.chaos.counts, world.machine.mishaps
    looks = mishaps.lost_seconds + sum(end - start for start, end, _ in mishaps.refusals)
    bound: float = PER_EVENT * events + PER_FAULT * faults.total() + PER_WORLD
    bound += LOOK_REQUESTS * len(world.shape.servers) * looks / LOOK_SECONDS
    return [] if count <= bound else [f"{count} requests for {events} events and {faults}"]
