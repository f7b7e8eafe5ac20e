"""What of an agent's jobs is to be armed, and what is left alone. Pure.

An occurrence that is in progress is neither armed nor cancelled: armed, it would be fired
again at once; cancelled, it would be lost if the process that runs it dies.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

import attrs

from .._core.instants import format_instant
from .fire_gate import EARLY_SECONDS
from .planning import (
    EVER_MS,
    LAST_MS,
    NEVER,
    SPARE_WATCHDOG_MS,
    SPARE_WATCHDOG_SLACK_MS,
    WATCHDOG_MS,
    WATCHDOG_SLACK_MS,
    Desired,
    OneShot,
    armed_at,
    does_for_overdue,
    due_ms,
    is_next_try,
    watchdog,
)

LOOK_AGAIN_SECONDS = 60.0
"""When what can change without a word is looked at again."""
WATCHDOG = "watchdog-"
"""How the job id of every agent's watchdog begins."""
SPARE = "-2"
"""What the id of an agent's second watchdog has after that of the first."""


@attrs.frozen
class Jobs:
    """An agent's jobs as its store has them."""

    times: Mapping[str, str]
    """The fire time of every job that is to fire, by job id."""
    named: frozenset[str]
    """The ids of all jobs, those that are not to fire included."""
    timeless: frozenset[str] = frozenset()
    """Those that are to fire though their store has no time: what is armed for them stays."""
    problem: str = ""
    """Why these may not be all; empty when they are."""
    is_new: bool = False
    """With a problem: there may never have been a store."""


@attrs.frozen
class Fires:
    """The jobs whose occurrence is in progress."""

    here: frozenset[str] = frozenset()
    elsewhere: frozenset[str] = frozenset()


@attrs.frozen
class Surroundings:
    """What else an agent's desired one-shots depend on."""

    now: float
    """Seconds since the epoch."""
    watchdog_id: str
    listed: Mapping[str, str] | None = None
    """The fire times that NAS lists, by job id; None: unknown."""
    tried: Mapping[str, int] = NEVER
    """When each job was last fired, or is armed to be; see `plan`."""
    others: Collection[str] | None = ()
    """The jobs that others with the same identity want; None: unknown."""
    watchdog: bool = True
    """Whether to arm one even while no overdue job is in progress elsewhere."""
    spare_watchdog: bool = False
    """Whether to arm a second one."""
    woken: bool = False
    """A fire was verified in this process, so that somebody armed one for this agent."""
    emptied_at: float | None = None
    """When the store was first seen to name nothing of what is armed."""


def watchdog_id(name: str) -> str:
    """The job id of the watchdog of the agent of that name."""
    return WATCHDOG + hashlib.sha256(name.encode()).hexdigest()[:12]


def overdue(times: Mapping[str, str], now: float) -> frozenset[str]:
    """The jobs that are due."""
    return frozenset(job_id for job_id in times if _is_overdue(times, job_id, now))


def fires_here(
    times: Mapping[str, str], occurrences: Mapping[str, str | None], now: float
) -> frozenset[str]:
    """The jobs whose occurrence is in progress in this process.

    Once claimed, a recurring job names its next occurrence, and that is to be armed.
    """
    return frozenset(
        job_id
        for job_id, at in occurrences.items()
        if _is_overdue(times, job_id, now) or (at and at == times.get(job_id))
    )


def fired_anew(jobs: Jobs, fires: Fires, taken_back: Collection[str], now: float) -> Jobs:
    """The same jobs, due now where a claim was taken back: the key of that fire is spent."""
    spent = (id_ for id_ in taken_back if _is_overdue(jobs.times, id_, now))
    free = frozenset(spent) - fires.here - fires.elsewhere
    fire_at = format_instant(int(now * 1000))
    return attrs.evolve(jobs, times={**jobs.times, **dict.fromkeys(free, fire_at)})


def agent_desired(jobs: Jobs, fires: Fires, around: Surroundings) -> Desired:
    """The jobs that are not in progress, and the watchdog.

    While it is not sure that all jobs are known, or when any of them fires, nothing is cancelled.
    """
    held = fires.here | fires.elsewhere
    protected = protection(around.watchdog_id, held, around.others)
    problem = jobs.problem or emptied(jobs, around, held)
    if jobs.is_new and problem and not _is_agent_known(around, protected):
        problem = ""
    wanted = dict.fromkeys(jobs.timeless, "") | dict(jobs.times)
    free = [OneShot(id_, at) for id_, at in wanted.items() if id_ not in held]
    # Without a time that can be read there is nothing that a watchdog could follow.
    unsure = wanted and not any(map(due_ms, wanted.values()))
    # What others have in progress is not armed, and this process may end before it looks again.
    if around.watchdog or fires.elsewhere:
        free += _guards(_first_wake(jobs.times, held, around), around, problem)
    return Desired(
        free,
        _everything if problem or jobs.problem or unsure else protected,
        problem,
        look_again=_look_again(jobs, fires, around, problem),
    )


def protection(
    watchdog_id: str, held: Collection[str], others: Collection[str] | None
) -> Callable[[str], bool]:
    """Tells jobs in progress, what others want, and every other agent's watchdog."""

    def is_protected(job_id: str) -> bool:
        if job_id.startswith(WATCHDOG):
            return job_id.removesuffix(SPARE) != watchdog_id
        return others is None or job_id in others or job_id in held

    return is_protected


def emptied(jobs: Jobs, around: Surroundings, held: Collection[str]) -> str:
    """Why a store that names nothing of what is armed is not believed yet; empty if it is.

    One that was emptied by hand or by a restore looks like this for a while. Where it is
    unknown what others want, all that is armed may be of this agent.
    """
    listed = around.listed or {}
    known = {*jobs.named, *held, *(around.others or ())}
    lost = {id_ for id_ in listed if id_ not in known and not id_.startswith(WATCHDOG)}
    if len(lost) < 2 or not jobs.named.isdisjoint(listed):
        return ""
    if around.emptied_at is not None and around.now - around.emptied_at >= LOOK_AGAIN_SECONDS:
        return ""
    return (
        f"the job store names none of the {len(lost)} jobs that are armed; if it still does "
        f"not in {LOOK_AGAIN_SECONDS:.0f} s, they are cancelled"
    )


def _is_agent_known(around: Surroundings, protected: Callable[[str], bool]) -> bool:
    """Whether something was armed for an agent, so that it has jobs somewhere."""
    return around.woken or any(not protected(job_id) for job_id in around.listed or ())


def _guards(wakes: Sequence[OneShot], around: Surroundings, problem: str) -> Iterator[OneShot]:
    """The watchdogs. Where jobs may be unknown each stays as it is, if it is early enough.

    One that is due, or may be by NAS's clock, does not count: its fire may be on its way, and
    end it.
    """
    now_ms = int(around.now * 1000)
    soon_ms = now_ms + int(EARLY_SECONDS * 1000)
    windows = [(around.watchdog_id, WATCHDOG_MS, WATCHDOG_SLACK_MS)]
    if around.spare_watchdog:
        spare_id = around.watchdog_id + SPARE
        windows.append((spare_id, SPARE_WATCHDOG_MS, SPARE_WATCHDOG_SLACK_MS))
    for job_id, after, slack in windows:
        guard = watchdog(job_id, wakes, now=now_ms, after=after, slack=slack)
        if guard and problem:
            yield attrs.evolve(guard, slack=(due_ms(guard.fire_at) or soon_ms) - soon_ms)
        elif guard:
            yield guard
        elif problem:
            fire_at = format_instant(now_ms + after)
            yield OneShot(job_id, fire_at, slack=now_ms + after - soon_ms, lag=EVER_MS)


def _look_again(jobs: Jobs, fires: Fires, around: Surroundings, problem: str) -> float | None:
    """In how many seconds to look again, though nobody asks for it.

    Jobs that are due, or may be by NAS's clock, are in progress elsewhere, or NAS took a
    fire to be accepted whose process died, and arms nothing under its key. One that is armed
    for its next try wakes the agent by itself.
    """
    soon = overdue(jobs.times, around.now + EARLY_SECONDS) - fires.here
    waits = {id_ for id_ in soon if _waits_for_next_try(id_, jobs.times[id_], around)}
    return LOOK_AGAIN_SECONDS if soon - waits or problem else None


def _first_wake(
    times: Mapping[str, str], held: Collection[str], around: Surroundings
) -> Sequence[OneShot]:
    """The first of the jobs' wakes: each is at its time, or at its next try if free for one.

    One for all of them, as a one-shot; none where no time can be read. A fire that NAS still
    lists, though it is spent, is followed by a try only when that is armed.
    """
    now_ms = int(around.now * 1000)
    listed = around.listed or {}

    def at(job_id: str, due: int) -> int:
        if due > now_ms or job_id in held:
            return due
        observed = due_ms(listed.get(job_id, ""))
        if observed is not None and does_for_overdue(due, observed, now_ms):
            return observed
        tried = around.tried.get(job_id)
        if tried is not None and tried > now_ms and is_next_try(due, tried, now_ms):
            return tried  # still to come, however near: whoever fires it may die of it
        return armed_at(due, now_ms, tried)

    dues = ((id_, due_ms(fire_at)) for id_, fire_at in times.items())
    first = min((at(id_, due) for id_, due in dues if due is not None), default=None)
    if first is None:
        return []
    return [OneShot("", format_instant(min(max(first, now_ms), LAST_MS)))]


def _waits_for_next_try(job_id: str, fire_at: str, around: Surroundings) -> bool:
    """Whether NAS has an overdue job armed for its next try."""
    due, at = due_ms(fire_at), due_ms((around.listed or {}).get(job_id, ""))
    return due is not None and at is not None and is_next_try(due, at, int(around.now * 1000))


def _everything(job_id: str) -> bool:
    return True


def _is_overdue(times: Mapping[str, str], job_id: str, now: float) -> bool:
    due = due_ms(times.get(job_id, ""))
    return due is not None and due <= now * 1000
