"""What a person is told, at a prompt or in the log; imported when there is something."""

from __future__ import annotations

import functools
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

from .host import log

if TYPE_CHECKING:
    from .host import Host
    from .plugin_runtime import HomeReconciler, PluginRuntime

LOOKING = frozenset({"list", "ls", "status"})  # the commands of `hermes cron` that show jobs
HINT = "a running gateway tries again; or run `chronos reconcile`"


@functools.cache
def show_problem(host: Host, home: Path) -> None:
    """Say at `hermes cron status` what that does not show of a provider that is not its own."""
    if not LOOKING.isdisjoint(sys.argv) and (problem := host.problem(home)):
        sys.stderr.write(f"{problem}\n")


def show_not_armed(reconciler: HomeReconciler) -> None:
    """Say what of a change is not armed, and what to do."""
    ids = reconciler.describe_failed()
    what = f"{len(ids)} jobs are" if len(ids) > 2 else f"{', '.join(ids) or 'your change'} is"
    problem = textwrap.shorten(f"chronos: {what} not armed yet: {reconciler.status.last_error}", 80)
    sys.stderr.write(f"{problem}\nchronos: {reconciler.status.hint or HINT}\n")


def not_armed(reconciler: HomeReconciler, job_id: str) -> str:
    """What is wrong with a job that was just made, and what to do."""
    status = reconciler.status
    what = f"job {job_id} is saved but not armed"
    return f"{what}: {status.last_error}; {status.hint or HINT}"


def problem(reconciler: HomeReconciler) -> str:
    """What is not armed, and why; empty when all is, or nothing is to be."""
    status = reconciler.status
    wrong = status.failed_jobs or status.problem or status.fatal_error or status.last_error
    what = ", ".join(reconciler.describe_failed()) or "jobs"
    told = f"{what}: not armed as wanted: {status.last_error}; {status.hint}".rstrip("; ")
    return told if wrong and reconciler.settings.active else ""


@functools.cache
def withdraw(process: PluginRuntime, why: str) -> None:
    """Say once that chronos is not in use, and have what is armed cancelled in the background."""
    log.warning("%s", why)
    process.withdraw()
