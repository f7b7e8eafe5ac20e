"""Whose fire is in progress in another process; imported when a job is due."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from nas_sdk.reconcile import due_ms

if TYPE_CHECKING:
    from .host import Host
    from .store import Job

LIVE_SECONDS = (("fire_claim", 300), ("run_claim", 1800))  # hermes's own limits for claims
RUN_SECONDS = 6 * 3600  # a run recorded as open for longer was not recorded as ended


def in_progress(host: Host, home: Path, job_ids: Collection[str], now: float) -> set[str]:
    """Jobs that were claimed just now, or that a live process runs."""
    jobs = [job for job in host.store(home).jobs if job["id"] in job_ids]
    claimed = {job["id"] for job in jobs if _is_claimed(job, now)}
    rest = [job["id"] for job in jobs if job["id"] not in claimed]
    return claimed | host.running(rest, home, now - RUN_SECONDS) if rest else claimed


def _is_claimed(job: Job, now: float) -> bool:
    claims = [(dict(job).get(name), live) for name, live in LIVE_SECONDS]
    told = [(claim.get("at"), live) for claim, live in claims if isinstance(claim, dict)]
    times = [(due_ms(str(at)), live) for at, live in told]
    return any(at is not None and 0 <= now - at / 1000 < live for at, live in times)
