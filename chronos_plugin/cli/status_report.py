"""The jobs of an agent home and what NAS has armed for it, side by side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from chronos_plugin.serving_status import Fired
from nas_sdk.reconcile import Plan, due_ms, plan
from nas_sdk.reconcile.desired import WATCHDOG
from nas_sdk.reconcile.planning import Armed, Desired

from ..plugin_runtime import HomeReconciler
from ..store import Job
from . import hermes_env, obstacles
from .problems import Problem

OVERDUE_SECONDS = 60.0
"""A job that is not in progress is a problem when it is due for longer."""


PROBE = f"{WATCHDOG}doctor-"
"""How the job id of a test fire of `chronos doctor` begins."""


class Row(NamedTuple):
    """A job, or a one-shot without one. Times are seconds since the epoch."""

    job_id: str
    name: str
    schedule: str
    next_run: float | None
    armed: float | None
    fired: Fired | None
    problem: str
    """`missing`, `moved`, `left over`, `unreadable`, `overdue`, `failed`, or nothing."""
    why: str = ""
    """Why hermes does not run a job that is due, as far as its record tells."""


class StatusReport(NamedTuple):
    """All of it; see `look`."""

    rows: list[Row]
    watchdog: float | None
    """When the watchdog is armed for."""
    foreign: int
    """One-shots of other profiles that share the identity at NAS."""
    known: bool
    """Whether NAS has said what is armed."""
    problem: str
    """Why the store may not name all jobs; empty when it does."""

    def having(self, problem: str) -> list[Row]:
        """The rows with that problem."""
        return [row for row in self.rows if row.problem == problem]


def look(
    reconciler: HomeReconciler, armed: Sequence[Armed] | None, *, active: bool
) -> StatusReport:
    """Compare the store with NAS's list (None: unknown), as a reconcile would."""
    now = reconciler.runtime.time()
    try:
        jobs = {job["id"]: job for job in hermes_env.host().store(reconciler.home).jobs}
        listed = None if armed is None else {one.job_id: one.fire_at for one in armed}
        want = reconciler.desired(listed) if active else Desired()
    except Exception as error:
        raise Problem(f"the jobs of {reconciler.home} cannot be read: {error}") from None
    if active:
        needed = plan(want.one_shots, armed, now=int(now * 1000), protect=want.protected)
    else:
        needed = Plan(cancels=to_disarm(reconciler, armed))
    at_nas = {one.job_id: at for one in armed or () if (at := seconds(one.fire_at)) is not None}
    judged = dict(_judged(needed, at_nas, known=armed is not None))
    fires = reconciler.serving_status.fires()
    rows = [
        Row(
            job_id,
            str(job.get("name") or job_id),
            str(job.get("schedule_display") or "?"),
            seconds(reconciler.fire_at(job)),
            at_nas.get(job_id),
            fires.get(job_id),
            judged.get(job_id) or _of_itself(reconciler, job, now),
            obstacles.of_job(reconciler, job) if _is_due(reconciler, job, now) else "",
        )
        for job_id, job in jobs.items()
    ]
    left = [each for each in needed.cancels if each not in jobs and not each.startswith(WATCHDOG)]
    rows += [Row(each, "(no job)", "", None, at_nas.get(each), None, "left over") for each in left]
    rows.sort(key=lambda row: (row.next_run is None, row.next_run or 0, row.name))
    known = {*jobs, *left, *filter(reconciler.is_watchdog, at_nas)}
    foreign = [each for each in at_nas if each not in known]
    return StatusReport(
        rows,
        at_nas.get(reconciler.watchdog_id),
        len(foreign),
        armed is not None,
        want.problem,
    )


def to_disarm(reconciler: HomeReconciler, armed: Sequence[Armed] | None) -> tuple[str, ...]:
    """What of NAS's list (None: unknown) to cancel so that a home has nothing armed.

    Its jobs, orphans, its watchdog and test fires; not what other profiles want.
    """
    try:
        others = reconciler.other_profiles_jobs()
    except Exception as error:
        raise Problem(f"the jobs of other profiles cannot be read: {error}") from None

    def is_protected(job_id: str) -> bool:
        if job_id.startswith(WATCHDOG) and not job_id.startswith(PROBE):
            return not reconciler.is_watchdog(job_id)
        return job_id in others

    return plan([], armed, protect=is_protected).cancels


def seconds(fire_at: str | None) -> float | None:
    """An instant of the wire or the store in seconds since the epoch; None for none."""
    at = due_ms(fire_at or "")
    return None if at is None else at / 1000


def _judged(needed: Plan, at_nas: Mapping[str, float], *, known: bool) -> Iterator[tuple[str, str]]:
    for job_id in needed.unusable:
        yield job_id, "unreadable"
    for one in needed.arms if known else ():
        yield one.job_id, "moved" if one.job_id in at_nas else "missing"
    for job_id in needed.cancels:
        yield job_id, "left over"


def _is_due(reconciler: HomeReconciler, job: Job, now: float) -> bool:
    due = seconds(reconciler.fire_at(job))
    return due is not None and due <= now


def _of_itself(reconciler: HomeReconciler, job: Job, now: float) -> str:
    due = seconds(reconciler.fire_at(job))
    if (
        due is not None
        and due < now - OVERDUE_SECONDS
        and not reconciler.claimed_elsewhere([str(job["id"])])
    ):
        return "overdue"
    return "failed" if job.get("last_status") == "error" else ""
