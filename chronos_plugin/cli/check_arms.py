"""doctor: what is armed at NAS against what the jobs want."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from nas_sdk.reconcile.planning import Armed

from ..plugin_runtime import HomeReconciler
from .findings import Finding, ok, problem, warning
from .formatting import count, distance, moment
from .problems import Problem
from .status_report import Row, StatusReport, look, to_disarm

RECONCILE = "run `chronos reconcile`; a running gateway does so by itself"
STORE = (
    "nothing is cancelled meanwhile; repair or restore cron/jobs.json, or, if its jobs are meant "
    "to be gone, run `chronos disarm`"
)
WAITS = "it is tried again, every 15 minutes at least; hermes's log says more"
RESCHEDULE = "give each its schedule again: `hermes cron edit JOB --schedule …`"
_SAID = {
    "missing": "not armed",
    "moved": "armed for another time",
    "left over": "armed though no job wants it",
    "unreadable": "without a fire time that can be read",
    "overdue": "due and not run",
}


def arms(reconciler: HomeReconciler, armed: Sequence[Armed], *, active: bool) -> Iterator[Finding]:
    """Each way in which NAS's list and the store differ; then the watchdog."""
    try:
        report = look(reconciler, armed, active=active)
        left = len(to_disarm(reconciler, armed)) if not active else 0
    except Problem as error:
        yield problem("arms", str(error), "repair or restore cron/jobs.json in the agent home")
        return
    if not active:
        yield _switched_away(left)
        return
    if report.problem:
        yield problem("store", report.problem, STORE)
    now = reconciler.runtime.time()
    found = {what: rows for what in _SAID if (rows := report.having(what))}
    for what, rows in found.items():
        fix = RESCHEDULE if what == "unreadable" else RECONCILE
        those = f"{count(len(rows), 'job')} {_SAID[what]}"
        yield problem("arms", f"{those}: {_examples(rows, now)}", fix)
    wanted = sum(row.next_run is not None for row in report.rows)
    if not found:
        said = "no job is to fire, and none is armed"
        if wanted:
            said = f"{count(wanted, 'job')} to fire, each armed as it should be"
        yield ok("arms", said)
    for row in report.rows:
        if row.why:
            yield warning("arms", f"{row.name} ({row.job_id}) is due and waits: {row.why}", WAITS)
    if report.foreign:
        yield ok("arms", f"{report.foreign} more of other profiles or agents; they are left alone")
    yield _watchdog(reconciler, report, wanted, now)


def _switched_away(left: int) -> Finding:
    if not left:
        return ok("arms", "nothing of this home is armed, as cron.provider is not chronos")
    reason = f"{count(left, 'one-shot')} still armed though cron.provider is not chronos"
    return warning("arms", reason, "run `chronos disarm`, or set cron.provider to chronos")


def _examples(rows: Sequence[Row], now: float) -> str:
    some = [f"{row.name} ({row.job_id}){_due(row, now)}" for row in rows[:3]]
    return ", ".join(some) + (f" and {len(rows) - 3} more" if len(rows) > 3 else "")


def _due(row: Row, now: float) -> str:
    return "" if row.next_run is None else f", due {distance(row.next_run - now)}"


def _watchdog(reconciler: HomeReconciler, report: StatusReport, wanted: int, now: float) -> Finding:
    if not reconciler.watchdog:
        reason = "is turned off: nothing wakes an agent that died before it armed the next fire"
        return warning("watchdog", reason, "take cron.chronos.watchdog: false out of config.yaml")
    if report.watchdog is not None:
        return ok("watchdog", f"armed for {moment(report.watchdog, now)}")
    if wanted:
        return problem("watchdog", "is not armed", RECONCILE)
    return ok("watchdog", "none is needed without jobs")
