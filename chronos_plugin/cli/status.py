"""`chronos status`: the jobs of an agent home and what NAS has armed for them, as a table."""

from __future__ import annotations

import argparse
import json
import sys
import time

from nas_sdk.errors import NasError
from nas_sdk.planning import Armed

from ..keeper import Keeper
from . import inside
from .board import Board, Row, look
from .words import clock, distance, length, moment, paragraph, table, width

EVERY_SECONDS = 5.0
HEAD = ("JOB", "SCHEDULE", "NEXT RUN", "ARMED", "LAST FIRE", "LATE", "PROBLEM")
CLEAR = "\x1b[2J\x1b[H"


def status(args: argparse.Namespace) -> int:
    """Show the table, once or again and again. Returns 1 when a job has a problem."""
    while True:
        keeper = inside.onlooker()
        armed, trouble = _ask(keeper)
        active = inside.host().settings().active
        board = look(keeper, armed, active=active)
        now = keeper.system.time()
        shown = (
            _as_json(keeper, board, trouble or board.problem, now)
            if args.json
            else _as_text(board, now)
        )
        if args.watch and sys.stdout.isatty():
            print(CLEAR, end="")
        print(shown, flush=True)
        if not active:
            trouble = "cron.provider is not chronos: hermes's own ticker fires the jobs"
        trouble = trouble or board.problem
        if trouble and not args.json:
            print(f"chronos status: {trouble}", file=sys.stderr)
        if not args.watch:
            return 1 if trouble or any(row.problem for row in board.rows) else 0
        time.sleep(EVERY_SECONDS)


def _ask(keeper: Keeper) -> tuple[list[Armed] | None, str]:
    try:
        client = keeper.client().with_options(timeout=5.0, max_attempts=2, deadline=10.0)
        return list(client.list_armed()), ""
    except NasError as error:
        return None, f"what is armed is unknown: {error}"


def _as_text(board: Board, now: float) -> str:
    if not board.rows:
        return "no jobs"
    lines = [*table([HEAD, *(_cells(row, now) for row in board.rows)], width())]
    if board.watchdog is not None:
        lines += ["", f"watchdog: {moment(board.watchdog, now)}"]
    if board.foreign:
        more = f"{board.foreign} more one-shots are of other profiles or agents"
        lines.append(paragraph(more, width(), "", ""))
    return "\n".join(lines)


def _cells(row: Row, now: float) -> tuple[str, ...]:
    return (
        row.name,
        row.schedule,
        "-" if row.next_run is None else moment(row.next_run, now),
        _armed(row, now),
        "-" if row.fired is None else distance(row.fired.at - now),
        "-" if row.fired is None else length(row.fired.lateness),
        row.problem or "-",
    )


def _armed(row: Row, now: float) -> str:
    if row.armed is None:
        return "no" if row.problem or row.next_run is None else "?"
    return clock(row.armed, now) if row.problem == "moved" else "yes"


def _as_json(keeper: Keeper, board: Board, trouble: str, now: float) -> str:
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
        }
        for row in board.rows
    ]
    told = {
        "home": str(keeper.home),
        "now": now,
        "trouble": trouble or None,
        "jobs": jobs,
        "watchdog": board.watchdog,
        "foreign": board.foreign,
    }
    return json.dumps(told, indent=2, ensure_ascii=False)
