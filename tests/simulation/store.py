"""The job store of one agent home, by hermes's rules for it (0.19).

A claim is refused while another is younger than 300 s, moves a recurring job on and never
asks whether the job is due. A one-shot keeps its time until its run is over, and runs once
however often it is claimed. The schedule of a recurring job counts from its last run.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

Job = dict[str, Any]
CLAIM_SECONDS = 300.0
ZONES = (UTC, timezone(timedelta(hours=2)), timezone(timedelta(hours=-7, minutes=-30)))


class Store:
    """The jobs and the executions of one home. Every method is one atomic step of I/O.

    `clock` is the agent's own clock; `on_save` is called after every change.
    """

    def __init__(self, home: Path, clock: Callable[[], float], zone: int = 0) -> None:
        self.home = home
        self.records: dict[str, Job] = {}
        self.executions: dict[str, dict[str, Any]] = {}
        """The latest of each job: `owner` (a process), `open`, `at` (the agent's clock)."""
        self.clock = clock
        self.zone = ZONES[zone % len(ZONES)]
        self.on_save: Callable[[], object] = lambda: None

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
        self.records[job_id] = {**job, "last_run_at": None, "fire_claim": None}
        self.on_save()
        return self.records[job_id]

    def pause(self, job_id: str) -> bool:
        return self._update(job_id, enabled=False, state="paused")

    def resume(self, job_id: str) -> bool:
        """Refused for a one-shot whose time has passed."""
        job = self.records.get(job_id)
        following = job and self._next(job)
        return bool(following) and self._update(
            job_id, enabled=True, state="scheduled", next_run_at=following
        )

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
        gone = self.records.pop(job_id, None) is not None
        if gone:
            self.on_save()
        return gone

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
        occurrence = job["next_run_at"]
        job["fire_claim"] = {"at": self.text(self.clock())}
        if job["every"]:
            job["next_run_at"] = self.text(self.clock() + job["every"])
        self.on_save()
        return {**job, "occurrence": occurrence}

    def _is_claimed(self, job: Job) -> bool:
        claim = job["fire_claim"]
        if claim is None:
            return False
        age = self.clock() - datetime.fromisoformat(claim["at"]).timestamp()
        return 0 <= age < CLAIM_SECONDS

    def execute(self, job_id: str, owner: Any) -> None:
        """Record that a process has claimed the job's run."""
        self.executions[job_id] = {"owner": owner, "open": True, "at": self.clock()}

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

    def mark(self, job_id: str) -> None:
        """The run is over."""
        job = self.records.get(job_id)
        if job is None:
            return
        job["last_run_at"], job["fire_claim"] = self.text(self.clock()), None
        job["completed"] += bool(job["every"])
        if job["times"] and job["completed"] >= job["times"]:
            self.remove(job_id)
            return
        job["next_run_at"] = self._next(job)
        if job["next_run_at"] is None:
            job["enabled"], job["state"] = False, "completed"
        elif job["state"] != "paused":
            job["state"] = "scheduled"
        self.on_save()

    def finish(self, job_id: str, owner: Any) -> None:
        execution = self.executions.get(job_id)
        if execution and execution["owner"] is owner:
            execution["open"] = False

    def _next(self, job: Job) -> str | None:
        if job["every"]:
            return self.text(self.clock() + float(job["every"]))
        run_at = datetime.fromisoformat(job["run_at"]).timestamp()
        late = job["last_run_at"] is not None or run_at < self.clock() - 120
        return None if late else str(job["run_at"])
