"""The job store of one agent home, by hermes's rules for it.

A claim is refused while another is younger than 300 s, moves a recurring job on and never
asks whether the job is due. A one-shot keeps its time until its run is over, and runs once
however often it is claimed. The schedule of a recurring job counts from its last run.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from .hosts import Generation

Job = dict[str, Any]
CLAIM_SECONDS = 300.0
RETRIES = (300.0, 900.0, 1800.0)
"""When a failed run of a recurring job is tried again, where the host does that."""
ZONES = (UTC, timezone(timedelta(hours=2)), timezone(timedelta(hours=-7, minutes=-30)))


class Store:
    """The jobs and the executions of one home. Every method is one atomic step of I/O.

    `clock` is the agent's own clock; `on_save` is called after every change, `on_execution`
    after every record of a run. `host` is the
    generation of hermes whose store it is.
    """

    def __init__(
        self, home: Path, clock: Callable[[], float], host: Generation, zone: int = 0
    ) -> None:
        self.home = home
        self.host = host
        self.jobs: dict[str, Job] = {}
        """What there really is, also while it cannot be read."""
        self.lost = ""
        """`gone` while the file is not there, `emptied` while it lists nothing."""
        self.lost_at = 0.0
        self.filled_at = -math.inf
        """When it last listed jobs again, after it had been emptied."""
        self.unreadable: set[str] = set()
        """The jobs whose records cannot be read."""
        self.refused: dict[str, float] = {}
        """Until when a job's claims are refused, by the agent's clock."""
        self.executions: dict[str, dict[str, Any]] = {}
        """The latest of each job: `owner` (a process), `open`, `at` (the agent's clock)."""
        self.clock = clock
        self.zone = ZONES[zone % len(ZONES)]
        self.on_save: Callable[[], object] = lambda: None
        self.on_execution: Callable[[], object] = lambda: None

    @property
    def records(self) -> dict[str, Job]:
        """What hermes reads; it passes over what it cannot read."""
        if self.lost:
            return {}
        if self.unreadable:
            return {id_: job for id_, job in self.jobs.items() if id_ not in self.unreadable}
        return self.jobs

    def text(self, seconds: float) -> str:
        return datetime.fromtimestamp(round(seconds, 6), self.zone).isoformat()

    # What people do.

    def create(
        self, job_id: str, *, every: float = 0.0, within: float = 0.0, times: int = 0
    ) -> Job:
        """A job that runs `every` so many seconds, or once `within`.

        `times`: how often; 0 is no limit, which for a one-shot means that a run is not counted
        before it is over.
        """
        at = self.text(self.clock() + (every or within))
        job = {"id": job_id, "enabled": True, "state": "scheduled", "next_run_at": at}
        job |= {"every": every, "run_at": at, "times": times, "completed": 0}
        self.jobs[job_id] = {**job, "last_run_at": None, "fire_claim": None, "retries": 0}
        self.on_save()
        return self.jobs[job_id]

    def pause(self, job_id: str) -> bool:
        return self._update(job_id, enabled=False, state="paused")

    def resume(self, job_id: str) -> bool:
        """Refused for a one-shot whose time has passed."""
        job = self.records.get(job_id)
        following = job and (self._kept(job) or self._next(job))
        return bool(following) and self._update(
            job_id, enabled=True, state="scheduled", next_run_at=following
        )

    def _kept(self, job: Job) -> str | None:
        """The time that a recurring job came due at while it was paused, where it keeps that."""
        due = datetime.fromisoformat(job["next_run_at"]).timestamp() if job["every"] else 0.0
        return str(job["next_run_at"]) if self.host.retries and 0 < due <= self.clock() else None

    def edit(self, job_id: str, *, every: float = 0.0, within: float = 0.0) -> bool:
        """Another schedule of the same kind."""
        job = self.records.get(job_id)
        if job is None:
            return False
        run_at = self.text(self.clock() + (every or within))
        what: Job = {"every": every} if job["every"] else {"run_at": run_at}
        if job["state"] != "paused":
            what["next_run_at"] = run_at
        return self._update(job_id, **what)

    def repeat(self, job_id: str) -> bool:
        """No limit to how often a job runs; a one-shot's runs are not counted any more."""
        return self._update(job_id, times=0)

    def trigger(self, job_id: str) -> bool:
        return self._update(
            job_id, enabled=True, state="scheduled", next_run_at=self.text(self.clock())
        )

    def remove(self, job_id: str) -> bool:
        if job_id not in self.records:
            return False
        del self.jobs[job_id]
        self.on_save()
        return True

    def _update(self, job_id: str, **what: Any) -> bool:
        job = self.records.get(job_id)
        if job is None:
            return False
        job.update(what)
        self.on_save()
        return True

    # What hermes does.

    @staticmethod
    def is_runnable(job: Any) -> bool:
        return bool(job.get("enabled", True)) and job.get("state") not in ("paused", "completed")

    def claim(self, job_id: str) -> Job | None:
        """The job as claimed, with the occurrence that it had before; None if refused."""
        job = self.records.get(job_id)
        if job is None or not self.is_runnable(job) or self._is_claimed(job):
            return None
        if self.refused.get(job_id, 0.0) > self.clock():
            return None
        occurrence = job["next_run_at"]
        job["fire_claim"] = {"at": self.text(self.clock())}
        if job["every"]:
            job["next_run_at"] = self.text(self.clock() + job["every"])
        self.on_save()
        return {**job, "occurrence": occurrence}

    def roll_back(self, claimed: Job) -> bool:
        """Take a claim back, if it is still there."""
        job = self.records.get(claimed["id"])
        if job is None or job["fire_claim"] != claimed["fire_claim"]:
            return False
        return self._update(job["id"], fire_claim=None, next_run_at=claimed["occurrence"])

    def _is_claimed(self, job: Job) -> bool:
        claim = job["fire_claim"]
        if claim is None:
            return False
        age = self.clock() - datetime.fromisoformat(claim["at"]).timestamp()
        return 0 <= age < CLAIM_SECONDS

    def execute(self, job_id: str, owner: Any) -> None:
        """Record that a process has claimed the job's run."""
        self.executions[job_id] = {"owner": owner, "open": True, "at": self.clock()}
        self.on_execution()

    def dispatch(self, job_id: str) -> bool:
        """Count a one-shot's run before it begins; False, and it is removed, after the first."""
        job = self.records.get(job_id)
        if job is None or job["every"] or not job["times"]:
            return True
        if job["completed"] >= job["times"]:
            self.remove(job_id)
            return False
        job["completed"] += 1
        self.on_save()
        return True

    def mark(self, job_id: str, *, failed: bool = False) -> bool:
        """The run is over; tells whether that could be noted."""
        job = self.records.get(job_id)
        if job is None:
            return job_id not in self.jobs
        job["last_run_at"], job["fire_claim"] = self.text(self.clock()), None
        job["completed"] += bool(job["every"])
        if job["times"] and job["completed"] >= job["times"]:
            return self.remove(job_id)
        job["next_run_at"] = self._next(job, failed=failed and self.host.retries)
        if job["next_run_at"] is None:
            job["enabled"], job["state"] = False, "completed"
        elif job["state"] != "paused":
            job["state"] = "scheduled"
        self.on_save()
        return True

    def finish(self, job_id: str, owner: Any) -> None:
        execution = self.executions.get(job_id)
        if execution and execution["owner"] is owner:
            execution["open"] = False
            self.on_execution()

    def _next(self, job: Job, *, failed: bool = False) -> str | None:
        job["retries"] = job["retries"] + 1 if failed and job["retries"] < len(RETRIES) else 0
        if job["every"]:
            soon = RETRIES[job["retries"] - 1] if job["retries"] else job["every"]
            return self.text(self.clock() + min(float(job["every"]), soon))
        run_at = datetime.fromisoformat(job["run_at"]).timestamp()
        late = job["last_run_at"] is not None or run_at < self.clock() - 120
        return None if late else str(job["run_at"])
