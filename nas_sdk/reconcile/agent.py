"""Keep an agent's jobs armed for as long as a process lives."""

from __future__ import annotations

import threading
from abc import abstractmethod
from collections import deque
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from .._core.instants import format_instant
from .._typing import override
from ..errors import NasError
from .desired import (
    LOOK_AGAIN_SECONDS,
    SPARE,
    Fires,
    Jobs,
    Surroundings,
    agent_desired,
    emptied,
    fired_anew,
    fires_here,
    overdue,
    watchdog_id,
)
from .file_watcher import FileWatcher
from .fire_gate import FireGate
from .planning import Desired, latest_try_at_nas
from .reconciler import Reconciler
from .runtime import Runtime


class AgentReconciler(Reconciler):
    """Keeps an agent's jobs armed, and a watchdog. Subclass it to say what the jobs are."""

    watchdog = True
    """Whether to arm one even while no overdue job is in progress elsewhere."""
    spare_watchdog = False
    """Whether to arm a second, later one: for an agent that accepts a watchdog's fire before
    the next one is armed, and so may die with none."""

    def __init__(self, name: str, callback_url: str, runtime: Runtime, **callbacks: Any) -> None:
        """`name` tells this agent from others that share its identity at NAS.

        The other arguments are those of `Reconciler`.
        """
        super().__init__(callback_url, runtime, **callbacks)
        self.watchdog_id = watchdog_id(name)
        self.woken = False
        """A fire was verified in this process, so that somebody armed one for this agent."""
        self.fires = FireGate(
            self.times,
            lambda job_id: bool(self.claimed_elsewhere([job_id])),
            runtime,
            self.log,
            # The run may outlive this process, or this process the run.
            on_wait=lambda: self.request(self.policy.delay),
            on_fire=self._on_fire,
        )
        self._watcher = FileWatcher(runtime, self.log)
        self._emptied_at: float | None = None
        self._looks: deque[float] = deque(maxlen=64)
        """When to look again whatever is done before, the latest 64: each sees to all jobs."""

    @abstractmethod
    def jobs(self) -> Jobs:
        """The jobs as they are now. Says in its `problem` what it could not read."""

    @abstractmethod
    def other_profiles_jobs(self) -> Collection[str]:
        """The jobs that others with the same identity at NAS want. May raise anything."""

    @abstractmethod
    def claimed_elsewhere(self, job_ids: Collection[str]) -> Collection[str]:
        """Which of these jobs have their fire in progress in another process."""

    def times(self) -> Mapping[str, str]:
        """The fire time of every job that is to fire, by job id."""
        return self.jobs().times

    def on_serving(self) -> None:
        """Called before this process follows its store, which a process that serves does."""

    def on_empty(self) -> None:
        """Called at every reconcile that takes it that there are no jobs."""

    def on_fire(self, job_id: str, due: float, now: float) -> None:
        """Called when a job is about to run; `due` and `now` are in seconds since the epoch.

        What it raises is logged.
        """

    def describe_failed(self) -> list[str]:
        """What `status.failed_jobs` is to a person: `the watchdog` if nothing else failed."""
        failed = self.status.failed_jobs
        jobs = [job_id for job_id in failed if not self.is_watchdog(job_id)]
        return jobs or ["the watchdog"][: len(failed)]

    def is_watchdog(self, job_id: str) -> bool:
        """Whether this is the id of one of this agent's watchdogs."""
        return job_id.removesuffix(SPARE) == self.watchdog_id

    def follow(self, file: Path, stopped: threading.Event) -> None:
        """Reconcile soon after the file changes what is desired, until `stopped` is set.

        A call while it does so changes nothing.
        """
        self.on_serving()
        self._watcher.follow(file, stopped, self._on_change)

    def _on_change(self) -> None:
        if self.has_moved():
            self.request(self.policy.delay)

    def _on_fire(self, job_id: str, due: float, now: float) -> None:
        # Whatever key this fire had, NAS arms nothing under it for a while; by NAS's clock, which
        # may be ahead of this one, it may be that of a try that is still to come here.
        self.note_try(job_id, latest_try_at_nas(round(due * 1000), int(now * 1000)))
        try:
            self.on_fire(job_id, due, now)
        except Exception as error:  # the job is to run all the same
            self.log.warning("the fire of job %s is not noted: %s", job_id, error)

    def look_again(self, seconds: float) -> None:
        """Reconcile in so many seconds, also if that was done in the meantime."""
        self._looks.append(self.runtime.time() + seconds)
        self.request(seconds)

    def arm_anew(self, job_id: str) -> None:
        """Have a job fire now whose one-shot is spent and that did not run."""
        fire_at = format_instant(int(self.runtime.time() * 1000))  # a key that NAS has not seen
        try:
            self.arm(job_id, fire_at)
        except NasError as error:
            self.log.warning("job %s is not armed again yet: %s", job_id, error)
        self.request(LOOK_AGAIN_SECONDS)

    @override
    def desired(self, listed: Mapping[str, str] | None) -> Desired:
        """The jobs that are not in progress, and the watchdog; see `agent_desired`."""
        now = self.runtime.time()
        jobs = self.jobs()
        fires = self._fires(jobs.times, now)
        jobs = fired_anew(jobs, fires, self.fires.taken_back(jobs.times), now)
        around = Surroundings(
            now,
            self.watchdog_id,
            listed,
            self.tried,
            self._known_others(),
            watchdog=self.watchdog,
            spare_watchdog=self.spare_watchdog and self.watchdog,
            woken=self.woken,
            emptied_at=self._emptied_at,
        )
        self._note_emptied(jobs, fires, around)
        # One this near to the question has what it was to see: NAS notes an answer in less.
        seen = now if listed is None else self._asked_at
        if later := [at for at in tuple(self._looks) if at > seen + self.policy.delay / 2]:
            self.request(max(0.0, min(later) - now))
        return agent_desired(jobs, fires, around)

    def _fires(self, times: Mapping[str, str], now: float) -> Fires:
        here = fires_here(times, self.fires.occurrences, now)
        rest = overdue(times, now) - here
        return Fires(here, frozenset(self.claimed_elsewhere(rest) if rest else ()))

    def _note_emptied(self, jobs: Jobs, fires: Fires, around: Surroundings) -> None:
        """Remember since when the store names nothing of what is armed."""
        if around.listed is None or jobs.problem:
            return
        if emptied(jobs, around, fires.here | fires.elsewhere):
            self._emptied_at = self._emptied_at or around.now
            return
        self._emptied_at = None
        if not jobs.named:
            self.on_empty()

    def _known_others(self) -> Collection[str] | None:
        try:
            return self.other_profiles_jobs()
        except Exception as error:
            self.log.warning("nothing is cancelled: what others want is unknown: %s", error)
            return None
