"""What became of deliveries: every attempt with its answer, kept for a while. Pure."""

from collections import deque
from collections.abc import Callable, Mapping
from heapq import nlargest
from itertools import chain, count
from typing import Any, Final, Self

import attrs

from nas_sdk.protocol import one_shot
from nas_sdk.protocol.one_shot import DeliveryResult, StoredOneShot
from nas_server.policy import HISTORY, HistoryPolicy

DONE: Final = "done"
NOT_RUN: Final = "not run"
RETRY: Final = "retry"
DEAD: Final = "dead"
EARLY: Final = "early"
DROPPED: Final = "dropped"


@attrs.frozen
class Attempt:
    """One delivery attempt that ended. Times are milliseconds since the epoch."""

    agent: str
    job_id: str
    schedule_id: str
    fire_at: str
    due_ms: int
    number: int
    """Which attempt of its one-shot, from 1."""
    planned_ms: int
    """When it was to begin."""
    began_ms: int
    ended_ms: int
    answer: str
    """How it ended, as `DeliveryResult.note`."""
    then: str
    """What followed: `DONE`, `NOT_RUN` (it is over, and the agent said why there is no run),
    `RETRY`, `DEAD`, `EARLY` (it was ahead of time, and the one-shot waits for its own) or
    `DROPPED` (it was cancelled or replaced meanwhile)."""
    next_ms: int | None = None
    """After `RETRY` and `EARLY`: when the next attempt is to begin."""

    @property
    def late_ms(self) -> int:
        """How long after it was to begin it did."""
        return self.began_ms - self.planned_ms

    @classmethod
    def of(
        cls, tried: StoredOneShot, outcome: DeliveryResult, left: StoredOneShot | None, now: int
    ) -> Self:
        """Return the attempt that ended now; ``left`` is what the job has after it."""
        then = _then(tried, outcome, left)
        waits = left is not None and then in (RETRY, EARLY)
        return cls(
            agent=tried.agent,
            job_id=tried.job_id,
            schedule_id=tried.schedule_id,
            fire_at=tried.fire_at,
            due_ms=tried.due_ms,
            number=tried.attempt,
            planned_ms=tried.not_before_ms,
            began_ms=now
            if tried.lease_until_ms is None
            else tried.lease_until_ms - one_shot.LEASE_MS,
            ended_ms=now,
            answer=outcome.note,
            then=then,
            next_ms=left.wake_ms if left is not None and waits else None,
        )

    def to_record(self) -> dict[str, Any]:
        """Return what a store keeps."""
        return {name: getattr(self, name) for name in _NAMES}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        """Read back what `to_record` gave."""
        return cls(**record)


_NAMES: Final = tuple(field.name for field in attrs.fields(Attempt))


def _then(tried: StoredOneShot, outcome: DeliveryResult, left: StoredOneShot | None) -> str:
    if one_shot.ends(tried, outcome):
        return DONE if outcome.ran else NOT_RUN
    if left is None or left.schedule_id != tried.schedule_id:
        return DROPPED
    if left.dead:
        return DEAD
    return EARLY if outcome.ended else RETRY


def is_kept(attempt: Attempt, now: int, policy: HistoryPolicy = HISTORY) -> bool:
    """Tell whether an attempt is recent enough to be shown."""
    return attempt.ended_ms > now - policy.keep_ms


class History:
    """Attempts in memory."""

    def __init__(self, policy: HistoryPolicy = HISTORY) -> None:
        self._policy = policy
        self._count = count()
        self._kept: dict[str, deque[tuple[int, Attempt]]] = {}

    def add(self, attempt: Attempt) -> None:
        """Keep an attempt."""
        kept = self._kept.setdefault(attempt.agent, deque(maxlen=self._policy.per_agent))
        kept.append((next(self._count), attempt))

    def newest(
        self,
        now: int,
        limit: int,
        agent: str | None,
        fits: Callable[[str, str], bool],
        offset: int = 0,
    ) -> list[Attempt]:
        """Return up to ``limit`` attempts whose agent and job fit, the newest first."""
        kept = chain(*self._kept.values()) if agent is None else self._kept.get(agent, ())
        recent = (
            (n, each)
            for n, each in kept
            if is_kept(each, now, self._policy) and fits(each.agent, each.job_id)
        )
        newest = nlargest(offset + limit, recent, key=lambda one: one[0])
        return [each for _, each in newest[offset:]]
