"""Which of an agent's jobs to arm, and which of the fires that come in to run.

An occurrence that somebody has in hand is neither armed nor cancelled: armed, it would be
fired again at once; cancelled, it would be lost if its holder dies.
"""

from __future__ import annotations

import contextlib
import hashlib
import threading
from abc import abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path

import attrs

from .._core.instants import format_instant
from ..errors import NasError
from . import planning
from .planning import EVER_MS, WATCHDOG_MS, Desired, OneShot, due_ms
from .reconciler import DELAY_SECONDS, LOOK_AGAIN_SECONDS, Reconciler
from .runtime import Runtime

EARLY_SECONDS = 30.0
"""A fire earlier than this for its job is a duplicate; one less early is held until due."""
WATCHDOG = "watchdog-"
"""How the job id of every agent's watchdog begins."""


@attrs.frozen
class Jobs:
    """An agent's jobs as its store has them."""

    times: Mapping[str, str]
    """The fire time of every job that is to fire, by job id."""
    named: frozenset[str]
    """The ids of all jobs, those that are not to fire included."""
    timeless: frozenset[str] = frozenset()
    """Those that are to fire though their store has no time: what is armed for them stays."""
    problem: str = ""
    """Why these may not be all; empty when they are."""
    is_new: bool = False
    """With a problem: there may never have been a store."""


class EarlyFireError(RuntimeError):
    """A fire came too early to be held as long as it takes; NAS sends it again."""


class AgentReconciler(Reconciler):
    """Keeps an agent's jobs armed, and a watchdog. Subclass it to say what the jobs are."""

    watchdog = True
    """Whether to arm one even while no overdue job is in other hands."""

    def __init__(self, name: str, callback_url: str, runtime: Runtime) -> None:
        """`name` tells this agent from others that share its identity at NAS."""
        super().__init__(callback_url, runtime)
        self.watchdog_id = WATCHDOG + hashlib.sha256(name.encode()).hexdigest()[:12]
        self.woken = False
        """A fire was verified in this process, so that somebody armed one for this agent."""
        self._in_progress: dict[str, str | None] = {}
        self._emptied_at: float | None = None
        self._look_at = 0.0

    @abstractmethod
    def jobs(self) -> Jobs:
        """The jobs as they are now. Says in its `problem` what it could not read."""

    def times(self) -> Mapping[str, str]:
        """The fire time of every job that is to fire, by job id."""
        return self.jobs().times

    @abstractmethod
    def other_profiles_jobs(self) -> Collection[str]:
        """The jobs that others with the same identity at NAS want. May raise anything."""

    @abstractmethod
    def claimed_elsewhere(self, job_ids: Collection[str]) -> Collection[str]:
        """Which of these jobs another process has the fire of in hand."""

    def describe_failed(self) -> list[str]:
        """What `failed_jobs` is to a person: jobs, or `the watchdog` if nothing else is."""
        jobs = [job_id for job_id in self.failed_jobs if job_id != self.watchdog_id]
        return jobs or ["the watchdog"] * len(self.failed_jobs)

    def on_serving(self) -> None:
        """Called before this process follows its store, which a process that serves does."""

    def on_fire(self, job_id: str, due: float, now: float) -> None:
        """Called when a job is about to run; `due` and `now` are in seconds since the epoch."""

    def follow(self, file: Path, stopped: threading.Event) -> None:
        """As its base class has it, and tells that this process serves."""
        self.on_serving()
        super().follow(file, stopped)

    @contextlib.contextmanager
    def in_progress(self, job_id: str, occurrence: str | None = None) -> Iterator[bool]:
        """Have a job's fire in hand. Yields False when this process already has it.

        Until it is claimed, `occurrence` is its fire time.
        """
        with self.condition:
            first = job_id not in self._in_progress
            if first:
                self._in_progress[job_id] = occurrence
        try:
            yield first
        finally:
            if first:
                del self._in_progress[job_id]

    def look_again(self, seconds: float) -> None:
        """Reconcile in so many seconds, also if that was done in the meantime."""
        self._look_at = max(self._look_at, self.runtime.time() + seconds)
        self.request(seconds)

    def arm_anew(self, job_id: str) -> None:
        """Have a job fire now whose one-shot is spent and that did not run."""
        fire_at = format_instant(int(self.runtime.time() * 1000))  # a key that NAS has not seen
        try:
            self.arm(job_id, fire_at)
        except NasError as error:
            self.log.warning("job %s is not armed again yet: %s", job_id, error)
        self.request(LOOK_AGAIN_SECONDS)

    def await_due(self, job_id: str, longest: float) -> bool:
        """Whether a fire is to be run, once that is due; False for a duplicate or no job.

        Raises EarlyFireError when it is not due within `longest` seconds. In any case a
        converge follows: the run may outlive this process, or this process the run.
        """
        self.request(DELAY_SECONDS)
        # What was read to take it in hand is not a moment old; a large store takes its time.
        fire_at = self._in_progress.get(job_id) or self.times().get(job_id)
        while fire_at is not None:
            early = (due_ms(fire_at) or 0) / 1000 - self.runtime.time()
            if early <= 0:
                return self._is_ours_to_run(job_id, -early)
            if early > EARLY_SECONDS:
                self.log.info("job %s: a fire %.0f s early is a duplicate", job_id, early)
                return False
            if early > longest:
                raise EarlyFireError(f"job {job_id} is not due for {early:.0f} s")
            self.runtime.sleep(early)
            self.request(DELAY_SECONDS)  # the first one may have been met while this slept
            fire_at = self.times().get(job_id)
        return False

    def _is_ours_to_run(self, job_id: str, late: float) -> bool:
        if self.claimed_elsewhere([job_id]):
            return False
        now = self.runtime.time()
        self.log.info("job %s fires %.1f s after it was due", job_id, late)
        self.on_fire(job_id, now - late, now)
        return True

    def desired(self, listed: Collection[str] | None) -> Desired:
        """The jobs nobody has in hand, and the watchdog; that in any case if others have some.

        While it is not sure that all jobs are known, nothing is cancelled.
        """
        now = self.runtime.time()
        jobs = self.jobs()
        here, elsewhere = self._held(jobs.times, now)
        if {id_ for id_, at in jobs.times.items() if _is_past(at, now + EARLY_SECONDS)} - here:
            # Others have them in hand, or NAS took a fire to be accepted whose process died,
            # and arms nothing under its key.
            self.request(LOOK_AGAIN_SECONDS)
        if self._look_at > now:
            self.request(self._look_at - now)
        is_protected = self._protection(here | elsewhere)
        problem = self._doubt_about(jobs, listed, is_protected, now)
        wanted = dict.fromkeys(jobs.timeless, "") | dict(jobs.times)
        free = [OneShot(id_, at) for id_, at in wanted.items() if id_ not in here | elsewhere]
        guard = self._guard(jobs.times, problem, now)
        # What others have in hand is not armed, and this process may end before it looks again.
        if guard and (self.watchdog or elsewhere):
            free.append(guard)
        # What a store that is not there would say is not known, be there a problem or not.
        if problem or jobs.problem:
            return Desired(free, lambda job_id: True, problem)
        return Desired(free, is_protected)

    def _held(self, times: Mapping[str, str], now: float) -> tuple[set[str], frozenset[str]]:
        """The jobs whose occurrence this process, and another one, has in hand."""
        past = {job_id for job_id, at in times.items() if _is_past(at, now)}
        # Once claimed, a recurring job names its next occurrence, and that is to be armed.
        hand = dict(self._in_progress)
        here = {id_ for id_ in hand if id_ in past or (hand[id_] and hand[id_] == times.get(id_))}
        return here, frozenset(self.claimed_elsewhere(past - here) if past - here else ())

    def _guard(self, times: Mapping[str, str], problem: str, now: float) -> OneShot | None:
        """The watchdog. Where jobs may be unknown it stays as it is, if it is early enough."""
        wanted = [OneShot(job_id, at) for job_id, at in times.items()]
        guard = planning.watchdog(self.watchdog_id, wanted, now=int(now * 1000))
        if not problem:
            return guard
        if guard:
            return attrs.evolve(guard, slack=EVER_MS)
        at = format_instant(int(now * 1000) + WATCHDOG_MS)
        return OneShot(self.watchdog_id, at, slack=EVER_MS, lag=EVER_MS)

    def _doubt_about(
        self,
        jobs: Jobs,
        listed: Collection[str] | None,
        is_protected: Callable[[str], bool],
        now: float,
    ) -> str:
        """Why these may not be all jobs; empty when they are."""
        if listed is None and not jobs.problem:
            return ""
        left = {id_ for id_ in listed or () if id_ not in jobs.named and not is_protected(id_)}
        if jobs.problem:
            return "" if jobs.is_new and not (left or self.woken) else jobs.problem
        orphans = left - {self.watchdog_id}
        if len(orphans) < 2 or not jobs.named.isdisjoint(listed or ()):
            self._emptied_at = None
            return ""
        # A store that was emptied by hand or by a restore looks like this for a while.
        since = self._emptied_at = now if self._emptied_at is None else self._emptied_at
        if now - since >= LOOK_AGAIN_SECONDS:
            return ""
        self.request(LOOK_AGAIN_SECONDS - (now - since))
        return (
            f"the job store names none of the {len(orphans)} jobs that are armed; if it still "
            f"does not in {LOOK_AGAIN_SECONDS:.0f} s, they are cancelled"
        )

    def _known_others(self) -> Collection[str] | None:
        try:
            return self.other_profiles_jobs()
        except Exception as error:
            self.log.warning("nothing is cancelled: what others want is unknown: %s", error)
            return None

    def _protection(self, held: Collection[str]) -> Callable[[str], bool]:
        """Tells jobs in hand, what others want, and every other agent's watchdog."""
        others = self._known_others()

        def is_protected(job_id: str) -> bool:
            if job_id.startswith(WATCHDOG):
                return job_id != self.watchdog_id
            return others is None or job_id in others or job_id in held

        return is_protected


def _is_past(fire_at: str, now: float) -> bool:
    due = due_ms(fire_at)
    return due is not None and due <= now * 1000
