"""Which of the fires that come in to run, and which are running here."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator, Mapping

from .._core import process
from .planning import due_ms
from .runtime import Runtime

EARLY_SECONDS = 30.0
"""A fire earlier than this for its job is a duplicate; one less early is held until due."""


class EarlyFireError(RuntimeError):
    """A fire came too early to be held as long as it takes; NAS sends it again."""


class FireGate:
    """The fires of one agent in this process. Safe to use from many threads."""

    def __init__(
        self,
        times: Callable[[], Mapping[str, str]],
        is_claimed_elsewhere: Callable[[str], bool],
        runtime: Runtime,
        log: logging.Logger,
        *,
        on_wait: Callable[[], object] = lambda: None,
        on_fire: Callable[[str, float, float], object] = lambda job_id, due, now: None,
    ) -> None:
        """`times` reads the fire times of all jobs.

        `on_wait` is called before a fire is looked at, and after each wait for its time;
        `on_fire` with the job, when it was due and the time now (seconds since the epoch).
        """
        self._times, self._is_claimed_elsewhere = times, is_claimed_elsewhere
        self._runtime, self._log = runtime, log
        self._on_wait, self._on_fire = on_wait, on_fire
        self.forked()
        process.register(self)

    def forked(self) -> None:
        """The fires in progress are the parent's."""
        self._lock = threading.Lock()
        self._in_progress: dict[str, str | None] = {}
        self._let_through: dict[str, tuple[str, int]] = {}
        self._claimed: set[str] = set()

    @property
    def occurrences(self) -> Mapping[str, str | None]:
        """The jobs in progress; with the fire time of the occurrence until it is claimed."""
        with self._lock:
            return dict(self._in_progress)

    @contextlib.contextmanager
    def in_progress(self, job_id: str, occurrence: str | None = None) -> Iterator[bool]:
        """Note that a job's fire is in progress. Yields False when it is so already.

        Until it is claimed, `occurrence` is its fire time.
        """
        with self._lock:
            first = job_id not in self._in_progress
            if first:
                self._in_progress[job_id] = occurrence
            if occurrence is None:
                self._claimed.discard(job_id)
                self._let_through.pop(job_id, None)
        try:
            yield first
        finally:
            if first:
                with self._lock:
                    self._in_progress.pop(job_id, None)  # a child has none

    def claimed(self, job_id: str) -> None:
        """Note that a fire that was to be run is claimed, and not `in_progress` yet."""
        with self._lock:
            self._claimed.add(job_id)

    def taken_back(self, times: Mapping[str, str]) -> frozenset[str]:
        """The jobs that have the time again at which they were claimed and did not run.

        Only the first such claim of an occurrence counts: what is never run is to be tried
        less and less often.
        """
        with self._lock:
            return frozenset(
                job_id
                for job_id in self._claimed
                if self._let_through.get(job_id) == (times.get(job_id), 1)
            )

    def await_due(self, job_id: str, longest: float) -> bool:
        """Whether a fire is to be run, once that is due; False for a duplicate or no job.

        Raises EarlyFireError when it is not due within `longest` seconds.
        """
        self._on_wait()
        # What was read as it began is not a moment old; a large store takes its time.
        fire_at = self._in_progress.get(job_id) or self._times().get(job_id)
        while fire_at is not None:
            due = (due_ms(fire_at) or 0) / 1000
            early = due - self._runtime.time()
            if early <= 0:
                return self._is_ours_to_run(job_id, fire_at, due)
            if early > EARLY_SECONDS:
                self._log.info("job %s: a fire %.0f s early is a duplicate", job_id, early)
                return False
            if early > longest:
                raise EarlyFireError(f"job {job_id} is not due for {early:.0f} s")
            self._runtime.sleep(early)
            self._on_wait()
            fire_at = self._times().get(job_id)
        return False

    def _is_ours_to_run(self, job_id: str, fire_at: str, due: float) -> bool:
        if self._is_claimed_elsewhere(job_id):
            return False
        with self._lock:
            before, count = self._let_through.get(job_id, ("", 0))
            self._let_through[job_id] = fire_at, 1 + (count if before == fire_at else 0)
            self._claimed.discard(job_id)
        now = self._runtime.time()
        self._log.info("job %s fires %.1f s after it was due", job_id, now - due)
        self._on_fire(job_id, due, now)
        return True
