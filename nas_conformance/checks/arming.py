"""What provision, cancel and list do to a job's one-shot."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta, timezone

from nas_sdk._core.instants import format_instant

from ..runner.checks import Group
from ..runner.context import DAY_MS, Context, check_instant
from ..runner.contract import Clause
from ..runner.wire import CheckFailed

GROUP = Group("arm")
CANCEL_GROUP = Group("cancel")
LIST_GROUP = Group("list")
_UPSERT = "Keep one row per (agent, job_id) and replace it in one step."
_LONGEST = 128
_MANY = 101


@GROUP.check(
    "same-key",
    Clause(
        "provision", "It has one with the same `dedup_key`: nothing changes; the answer names it."
    ),
    "When the stored dedup_key equals the request's, answer its schedule_id and write nothing.",
)
def same_key(context: Context) -> None:
    """The same dedup_key again changes nothing."""
    job, fire_at = context.job("same"), context.later()
    first, _ = context.agent.provision(job, fire_at)
    again, exchange = context.agent.provision(job, fire_at)
    if again != first:
        raise CheckFailed(f"the first answer named {first!r}, this one {again!r}", exchange)
    entry, exchange = context.agent.entry(job)
    if entry["schedule_id"] != first:
        raise CheckFailed(f"the answers named {first!r}, the list another", exchange)


@GROUP.check(
    "replace",
    Clause("provision", "It has one with another `dedup_key`: the new one replaces it."),
    _UPSERT,
)
def replace(context: Context) -> None:
    """Another fire_at replaces the earlier one-shot: one entry, a new name."""
    job = context.job("moved")
    seen: list[str] = []
    for days in (5, 9, 2):
        fire_at = context.later(days)
        schedule_id, exchange = context.agent.provision(job, fire_at)
        if schedule_id in seen:
            raise CheckFailed(f"schedule_id {schedule_id!r} named the one replaced", exchange)
        seen.append(schedule_id)
        entry, exchange = context.agent.entry(job)
        check_instant(entry, fire_at, exchange)


@GROUP.check(
    "respelled",
    Clause("info", "compare instants, to the millisecond, never strings."),
    "Compare dedup_key as text, fire times as instants.",
)
def respelled(context: Context) -> None:
    """The same instant in another spelling is another key, and still one entry."""
    job, moment = context.job("respelled"), context.later_ms() // 1000
    utc = datetime.fromtimestamp(moment, UTC)
    east = utc.astimezone(timezone(timedelta(hours=5, minutes=45)))
    for fire_at in (f"{utc:%Y-%m-%dT%H:%M:%S}Z", east.isoformat(), format_instant(moment * 1000)):
        schedule_id, _ = context.agent.provision(job, fire_at)
        entry, exchange = context.agent.entry(job)
        check_instant(entry, fire_at, exchange)
        if entry["schedule_id"] != schedule_id:
            raise CheckFailed(f"provision answered {schedule_id!r}, the list has another", exchange)


@GROUP.check(
    "instant",
    Clause("provision", "Seconds and fractions are honoured."),
    "Store milliseconds since the epoch; do not truncate to seconds or minutes, and apply "
    "the offset.",
)
def instant(context: Context) -> None:
    """Seconds, fractions and offsets are honoured, to the millisecond."""
    day = f"{datetime.now(UTC) + timedelta(days=3):%Y-%m-%d}"
    for clock in (
        "12:34:56.789+02:00",
        "00:00:00.001-11:30",
        "23:59:59.999Z",
        "12:34:56.7+14:00",
        "12:34:56.78Z",
        "12:34:56.123456Z",
        "12:34:56.000000001Z",
        "23:59:59.999999999-00:01",
    ):
        job, fire_at = context.job("instant"), f"{day}T{clock}"
        context.agent.provision(job, fire_at)
        entry, exchange = context.agent.entry(job)
        check_instant(entry, fire_at, exchange)


@GROUP.check(
    "past",
    Clause("provision", "A `fire_at` in the past fires at once."),
    "Accept any instant: the agent may have been asleep when it was due.",
)
def past(context: Context) -> None:
    """A fire_at in the past is armed."""
    for ago in (1_000, 3_600_000, 400 * DAY_MS):
        job, fire_at = context.job("past"), format_instant(int(time.time() * 1000) - ago)
        context.agent.provision(job, fire_at)
        entry, exchange = context.agent.entry(job)
        check_instant(entry, fire_at, exchange)
        context.agent.cancel(job)


@GROUP.check(
    "far",
    Clause("schemas.FireAt", "An instant"),
    "Hold far one-shots yourself when the scheduler behind has a longest delay: a job of "
    "29 February may be eight years away.",
)
def far(context: Context) -> None:
    """A fire_at years ahead is armed."""
    job, fire_at = context.job("far"), context.later(8 * 366)
    context.agent.provision(job, fire_at)
    entry, exchange = context.agent.entry(job)
    check_instant(entry, fire_at, exchange)


@GROUP.check(
    "job-ids",
    Clause("schemas.JobId", "The agent's own id of the job. Unique within the agent."),
    "Compare job ids byte for byte: no folding of case, no truncation.",
)
def job_ids(context: Context) -> None:
    """Ids of 128 characters are kept whole, and ids that differ in case are two jobs."""
    long, short = context.job("Long._-").ljust(_LONGEST, "x"), context.job("case")
    jobs = (long, f"{long[:-1]}y", f"{long[:-1]}X", short, f"{short[:-4]}CASE", f"{short}.")
    wanted = {job: context.later() for job in jobs}
    for job, fire_at in wanted.items():
        context.agent.provision(job, fire_at)
    for job, fire_at in wanted.items():
        entry, exchange = context.agent.entry(job)
        check_instant(entry, fire_at, exchange)


@GROUP.check(
    "race",
    Clause("info", "At most one one-shot per job."),
    _UPSERT,
)
def race(context: Context) -> None:
    """Requests for one job at the same time leave one one-shot."""
    job = context.job("race")
    fire_ats = [context.later() for _ in range(8)]
    answers = context.at_once(lambda fire_at: context.agent.provision(job, fire_at)[0], fire_ats)
    entry, exchange = context.agent.entry(job)
    if entry["schedule_id"] not in answers:
        raise CheckFailed("the schedule_id listed was given to no request", exchange)
    check_instant(entry, fire_ats[answers.index(entry["schedule_id"])], exchange)
    twin, fire_at = context.job("race"), context.later()
    same = set(context.at_once(lambda _: context.agent.provision(twin, fire_at)[0], range(8)))
    entry, exchange = context.agent.entry(twin)
    if same != {entry["schedule_id"]}:
        raise CheckFailed(f"eight requests with one key were answered {sorted(same)}", exchange)


@CANCEL_GROUP.check(
    "armed",
    Clause("cancel", "Removes the job's one-shot."),
    "Delete the row of (agent, job_id).",
)
def cancel_armed(context: Context) -> None:
    """A cancel removes the job's one-shot, and no other."""
    job = context.job("cancel")
    longer = f"{job}-longer"
    for each in (job, longer):
        context.agent.provision(each, context.later())
    context.agent.cancel(job)
    ours, exchange = context.agent.armed()
    if job in ours:
        raise CheckFailed(f"job {job} was cancelled and is listed", exchange)
    if longer not in ours:
        raise CheckFailed(f"job {longer} went with {job}", exchange)


@CANCEL_GROUP.check(
    "unknown",
    Clause("cancel", "A job that has none is a success, so the call may be repeated."),
    'Answer 200 {"ok": true} whether or not there was something to cancel.',
)
def cancel_unknown(context: Context) -> None:
    """To cancel a job that has no one-shot is a success."""
    job = context.job("unknown")
    context.agent.cancel(job)
    context.agent.provision(job, context.later())
    context.agent.cancel(job)
    context.agent.cancel(job)


@CANCEL_GROUP.check(
    "then-arm",
    Clause("provision", "The job has no one-shot: one is armed."),
    "Remember a dedup_key only once its fire was delivered, not when it was cancelled.",
)
def cancel_then_arm(context: Context) -> None:
    """A cancelled job is armed again by the same key."""
    job, fire_at = context.job("again"), context.later()
    context.agent.provision(job, fire_at)
    context.agent.cancel(job)
    context.agent.provision(job, fire_at)
    entry, exchange = context.agent.entry(job)
    check_instant(entry, fire_at, exchange)


@LIST_GROUP.check(
    "whole",
    Clause("list", "the list is whole: it is not paged."),
    "Return every entry in one answer; no page size, no limit.",
)
def list_whole(context: Context) -> None:
    """A list of more than 100 one-shots is whole."""
    wanted = {context.job("many"): context.later() for _ in range(_MANY)}
    context.at_once(lambda job: context.agent.provision(job, wanted[job]), wanted)
    ours, exchange = context.agent.armed()
    lost = [job for job in wanted if job not in ours]
    if lost:
        raise CheckFailed(f"{len(lost)} of {_MANY} are not listed, {lost[0]} first", exchange)
    for job, fire_at in wanted.items():
        check_instant(ours[job], fire_at, exchange)
    context.at_once(context.agent.cancel, wanted)


@LIST_GROUP.check(
    "stable",
    Clause("list", "Every one-shot of the calling agent that has not been delivered, cancelled"),
    "Read only; keep fire_at and schedule_id as they were.",
)
def list_stable(context: Context) -> None:
    """To list changes nothing: two lists in a row are the same."""
    context.agent.provision(context.job("stable"), context.later())
    first, _ = context.agent.armed()
    second, exchange = context.agent.armed()
    if first != second:
        raise CheckFailed("the second list differs from the first", exchange)
