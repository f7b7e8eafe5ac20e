"""`chronos status`: the jobs of an agent home and what NAS has armed for them, as a table."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence

from nas_sdk.errors import NasError
from nas_sdk.reconcile.planning import Armed

from ..plugin_runtime import HomeReconciler
from . import hermes_env, obstacles
from .formatting import clock, count, distance, length, moment, paragraph, table, width
from .status_report import Row, StatusReport, look

EVERY_SECONDS = 5.0
HEAD = ("JOB", "ID", "SCHEDULE", "NEXT RUN", "ARMED", "LAST FIRE", "LATE", "PROBLEM")
CLEAR = "\x1b[2J\x1b[H"


def status(args: argparse.Namespace) -> int:
    """Show the table, once or again and again. Returns 1 when a job has a problem."""
    while True:
        reconciler = hermes_env.onlooker()
        armed, last_error = _ask(reconciler)
        active = hermes_env.host().settings().active
        report = look(reconciler, armed, active=active)
        now = reconciler.runtime.time()
        shown = (
            _as_json(reconciler, report, last_error or report.problem, now)
            if args.json
            else _as_text(report, now)
        )
        if args.watch and sys.stdout.isatty():
            print(CLEAR, end="")
        print(shown, flush=True)
        if not active:
            last_error = "cron.provider is not chronos: hermes's own ticker fires the jobs"
        last_error = last_error or report.problem
        told = [last_error] if last_error else []
        told += [f"{each.reason}; {each.fix}" for each in obstacles.of_home(reconciler)]
        told += [f"{row.name} is due and waits: {row.why}" for row in report.rows if row.why]
        for line in told if not args.json else ():
            print(f"chronos status: {line}", file=sys.stderr)
        if not args.watch:
            return 1 if told or any(row.problem for row in report.rows) else 0
        time.sleep(EVERY_SECONDS)


def _ask(reconciler: HomeReconciler) -> tuple[list[Armed] | None, str]:
    try:
        client = reconciler.client().with_options(timeout=5.0, max_attempts=2, deadline=10.0)
        return list(client.list_armed()), ""
    except NasError as error:
        return None, f"what is armed is unknown: {error}"


def _as_text(report: StatusReport, now: float) -> str:
    if not report.rows:
        return "no jobs"
    rows = [_cells(row, report, now) for row in report.rows]
    if _wide([HEAD, *rows]) > width():  # then the time alone has to do
        times = [row.next_run for row in report.rows]
        short = ["-" if at is None else clock(at, now) for at in times]
        rows = [(*row[:3], at, *row[4:]) for row, at in zip(rows, short, strict=True)]
    lines = [*table([HEAD, *rows], width(), whole=(1,))]
    if report.watchdog is not None:
        lines += ["", f"watchdog: {moment(report.watchdog, now)}"]
    if report.foreign:
        more = f"{count(report.foreign, 'one-shot')} beside these: of other profiles or agents"
        lines.append(paragraph(more, width(), "", ""))
    return "\n".join(lines)


def _wide(rows: Sequence[Sequence[str]]) -> int:
    return sum(max(map(len, column)) + 2 for column in zip(*rows, strict=True)) - 2


def _cells(row: Row, report: StatusReport, now: float) -> tuple[str, ...]:
    return (
        row.name,
        row.job_id,
        row.schedule,
        "-" if row.next_run is None else moment(row.next_run, now),
        _armed(row, report, now),
        "-" if row.fired is None else distance(row.fired.at - now),
        "-" if row.fired is None else length(row.fired.lateness),
        row.problem or "-",
    )


def _armed(row: Row, report: StatusReport, now: float) -> str:
    if row.armed is None:
        return "no" if report.known or row.next_run is None else "?"
    return clock(row.armed, now) if row.problem == "moved" else "yes"


def _as_json(reconciler: HomeReconciler, report: StatusReport, last_error: str, now: float) -> str:
    jobs = [
        {
            "job_id": row.job_id,
            "name": row.name,
            "schedule": row.schedule,
            "next_run": row.next_run,
            "armed": row.armed,
            "last_fire": row.fired.at if row.fired else None,
            "lateness": round(row.fired.lateness, 3) if row.fired else None,
            "problem": row.problem or None,
            "why": row.why or None,
        }
        for row in report.rows
    ]
    told = {
        "home": str(reconciler.home),
        "now": now,
        "last_error": last_error or None,
        "obstacles": [each._asdict() for each in obstacles.of_home(reconciler)],
        "jobs": jobs,
        "watchdog": report.watchdog,
        "foreign": report.foreign,
    }
    return json.dumps(told, indent=2, ensure_ascii=False)
