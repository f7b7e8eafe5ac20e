"""Which of an agent's jobs to arm, and which of the fires that come in to run.

An occurrence that somebody has in hand is neither armed nor cancelled: armed, it would be
fired again at once; cancelled, it would be lost if its holder dies.
"""

from __future__ import annotations

import contextlib
import hashlib
import sys
import threading
from abc import abstractmethod
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from . import reconcile
from ._version import __version__
from .converger import HEAL_SECONDS, Converger
from .reconcile import OneShot, due_ms
from .records import Records
from .system import System

EARLY_SECONDS = 30.0
"""A fire earlier than this for its job is a duplicate; one less early is held until due."""
LOOK_AGAIN_SECONDS = 60.0
"""When jobs that are due, or may be by NAS's clock, are looked at again: others have them in
hand, or NAS took a fire to be accepted whose process died, and arms nothing under its key."""
WATCHDOG = "watchdog-"
"""How the job id of every agent's watchdog begins."""


class EarlyFireError(RuntimeError):
    """A fire came too early to be held as long as it takes; NAS sends it again."""


class AgentConverger(Converger):
    """Keeps an agent's jobs armed, and a watchdog. Subclass it to say what the jobs are."""

    watchdog = True
    """Whether to arm one even while no overdue job is in other hands."""

    def __init__(self, name: str, callback_url: str, system: System) -> None:
        """`name` tells this agent from others that share its identity at NAS."""
        super().__init__(callback_url, system)
        self.watchdog_id = WATCHDOG + hashlib.sha256(name.encode()).hexdigest()[:12]
        self.records: Records | None = None
        self._in_hand: dict[str, str | None] = {}
        # Threads look at the jobs at the same time, and each plans with what it saw itself.
        self._seen = threading.local()

    @abstractmethod
    def times(self) -> Mapping[str, str]:
        """The fire time of every job that is to fire, by job id."""

    @abstractmethod
    def others(self) -> Collection[str]:
        """The jobs that others with the same identity at NAS want. May raise anything."""

    @abstractmethod
    def taken(self, job_ids: Collection[str]) -> Collection[str]:
        """Which of these jobs another process has the fire of in hand."""

    def missing(self) -> list[str]:
        """What `unarmed` is to a person: jobs, or `the watchdog` if nothing else is."""
        jobs = [job_id for job_id in self.unarmed if job_id != self.watchdog_id]
        return jobs or ["the watchdog"] * len(self.unarmed)

    def keep_records(self, folder: Path) -> None:
        """Leave there for people who ask that this process serves, and what it fired."""
        self.records = Records(folder)

    def follow(self, file: Path, stopped: threading.Event) -> None:
        """As its base class has it; a process that follows its store serves."""
        if self.records:
            module = Path(str(sys.modules[type(self).__module__].__file__)).parent
            self.records.serve(str(module), __version__, self.system.time())
        super().follow(file, stopped)

    @contextlib.contextmanager
    def in_hand(self, job_id: str, occurrence: str | None = None) -> Iterator[bool]:
        """Have a job's fire in hand. Yields False when this process already has it.

        Until it is claimed, `occurrence` is its fire time.
        """
        with self.turn:
            first = job_id not in self._in_hand
            if first:
                self._in_hand[job_id] = occurrence
        try:
            yield first
        finally:
            if first:
                del self._in_hand[job_id]

    def await_due(self, job_id: str, longest: float) -> bool:
        """Whether a fire is to be run, once that is due; False for a duplicate or no job.

        Raises EarlyFireError when it is not due within `longest` seconds. In any case a
        converge follows: the run may outlive this process, or this process the run.
        """
        self.request(HEAL_SECONDS)
        # What was read to take it in hand is not a moment old; a large store takes its time.
        fire_at = self._in_hand.get(job_id) or self.times().get(job_id)
        while fire_at is not None:
            early = (due_ms(fire_at) or 0) / 1000 - self.system.time()
            if early <= 0:
                return self._is_ours_to_run(job_id, -early)
            if early > EARLY_SECONDS:
                self.log.info("job %s: a fire %.0f s early is a duplicate", job_id, early)
                return False
            if early > longest:
                raise EarlyFireError(f"job {job_id} is not due for {early:.0f} s")
            self.system.sleep(early)
            self.request(HEAL_SECONDS)  # the first one may have been met while this slept
            fire_at = self.times().get(job_id)
        return False

    def _is_ours_to_run(self, job_id: str, late: float) -> bool:
        if self.taken([job_id]):
            return False
        now = self.system.time()
        self.log.info("job %s fires %.1f s after it was due", job_id, late)
        if self.records:
            self.records.fired(job_id, now - late, now)
        return True

    def desired(self) -> list[OneShot]:
        """The jobs nobody has in hand, and the watchdog; that in any case if others have some."""
        now = self.system.time()
        times = dict(self.times())
        past = {job_id for job_id, at in times.items() if _is_past(at, now)}
        # Once claimed, a recurring job names its next occurrence, and that is to be armed.
        hand = dict(self._in_hand)
        here = {id_ for id_ in hand if id_ in past or (hand[id_] and hand[id_] == times.get(id_))}
        elsewhere = frozenset(self.taken(past - here) if past - here else ())
        held = self._seen.held = elsewhere | here
        self._seen.others = self._known_others()
        if {id_ for id_, at in times.items() if _is_past(at, now + EARLY_SECONDS)} - here:
            self.request(LOOK_AGAIN_SECONDS)
        wanted = [OneShot(job_id, at) for job_id, at in times.items()]
        guard = reconcile.watchdog(self.watchdog_id, wanted, now=int(now * 1000))
        free = [one for one in wanted if one.job_id not in held]
        # What others have in hand is not armed, and this process may end before it looks again.
        return [*free, guard] if guard and (self.watchdog or elsewhere) else free

    def _known_others(self) -> Collection[str] | None:
        try:
            return self.others()
        except Exception as error:
            self.log.warning("nothing is cancelled: what others want is unknown: %s", error)
            return None

    def is_spared(self, job_id: str) -> bool:
        """Jobs in hand, what others want, and every other agent's watchdog.

        As this thread saw them when it last asked what is desired.
        """
        if job_id.startswith(WATCHDOG):
            return job_id != self.watchdog_id
        others: Collection[str] | None = self._seen.others
        return others is None or job_id in others or job_id in self._seen.held


def _is_past(fire_at: str, now: float) -> bool:
    due = due_ms(fire_at)
    return due is not None and due <= now * 1000
