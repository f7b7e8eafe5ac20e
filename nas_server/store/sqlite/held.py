"""What one-shots of the single-process store are beyond what is written: no lease is a write.

A delivery that is under way is known here alone. So is one that ended while the storage was
full, until it can be written; it would be made again otherwise, again and again.
"""

import heapq
import math
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Final

import attrs

from nas_sdk.protocol import one_shot
from nas_sdk.protocol.one_shot import StoredOneShot
from nas_server.history import Attempt
from nas_server.store.base import Counts, Which

Job = tuple[str, str]
_FEW: Final = 1_000


@attrs.frozen
class Held:
    """A one-shot as it is, and the row it came from. It is so only while the row is there."""

    row: StoredOneShot
    one: StoredOneShot | None
    """None: it was delivered."""

    @property
    def is_unwritten(self) -> bool:
        """Whether its delivery ended, and the row does not say so."""
        return self.one is None or self.one.lease_until_ms is None


class HeldOneShots:
    """Changed by the thread that writes one-shots; others may look."""

    def __init__(self) -> None:
        self._held: dict[Job, Held] = {}
        self._delivered: dict[tuple[str, str], tuple[int, str]] = {}
        self._wakes: list[tuple[int, str, str]] = []
        self.attempts: deque[Attempt] = deque(maxlen=_FEW)
        """Those that ended and are not written."""

    def __len__(self) -> int:
        """How many are held."""
        return len(self._held)

    def current(self, agent: str, job_id: str, row: StoredOneShot | None) -> StoredOneShot | None:
        """Return what a job has, whose row is ``row``."""
        held = self._held.get((agent, job_id))
        return row if held is None or held.row != row else held.one

    def put(self, row: StoredOneShot, one: StoredOneShot | None) -> None:
        """Have a job with ``row`` have ``one`` in its place."""
        self._held[row.agent, row.job_id] = Held(row, one)
        if one is not None and not one.dead:
            heapq.heappush(self._wakes, (one.wake_ms, one.agent, one.job_id))
            if len(self._wakes) > 2 * len(self._held) + _FEW:
                self.wake_all()

    def wake_all(self) -> None:
        """Have `waking` take all of them out, those too that it took out before."""
        self._wakes = [
            (held.one.wake_ms, *job)
            for job, held in self._held.items()
            if held.one is not None and not held.one.dead
        ]
        heapq.heapify(self._wakes)

    def drop(self, tried: StoredOneShot) -> None:
        """Hold nothing in place of the row any more, if ``tried`` is what is held."""
        held = self._held.get((tried.agent, tried.job_id))
        if held is not None and held.one == tried:
            del self._held[tried.agent, tried.job_id]

    def remember(self, tried: StoredOneShot, until: int) -> None:
        """Remember that the key of ``tried`` was delivered, until it is written."""
        self._delivered[tried.agent, tried.dedup_key] = until, tried.schedule_id

    def kept(self, row: StoredOneShot) -> tuple[int, str] | None:
        """Return until when the key of ``row`` is remembered here, and its schedule id."""
        return self._delivered.get((row.agent, row.dedup_key))

    def remembered(self, agent: str, dedup_key: str, now: int) -> str | None:
        """Return the schedule id of a delivered key that is remembered here."""
        return one_shot.remembered(self._delivered.get((agent, dedup_key)), now)

    def waking(self, now: int) -> Iterator[tuple[str, str, int]]:
        """Take out agent, job id and time of those whose time has come."""
        while self._wakes and self._wakes[0][0] <= now:
            wake, agent, job_id = heapq.heappop(self._wakes)
            if self._wakes_at(agent, job_id, wake):
                yield agent, job_id, wake

    def first_wake(self) -> int | None:
        """Return the first time that one of them wakes."""
        while self._wakes:
            wake, agent, job_id = self._wakes[0]
            if self._wakes_at(agent, job_id, wake):
                return wake
            heapq.heappop(self._wakes)
        return None

    def _wakes_at(self, agent: str, job_id: str, wake: int) -> bool:
        held = self._held.get((agent, job_id))
        return held is not None and held.one is not None and held.one.wake_ms == wake

    def forget(self, agent: str, job_id: str) -> None:
        """Hold nothing of a job whose row is there no longer."""
        self._held.pop((agent, job_id), None)

    def has(self, held: Held) -> bool:
        """Tell whether that is what its job has still."""
        return self._held.get((held.row.agent, held.row.job_id)) is held

    def each(self) -> list[Held]:
        """Return all that are held."""
        return list(self._held.values())

    def unwritten(self) -> list[Held]:
        """Return those whose delivery ended without being written."""
        return [held for held in self.each() if held.is_unwritten]

    def over(self) -> list[Held]:
        """Return those that are armed no more, though their rows say so."""
        return [held for held in self.each() if held.one is None or held.one.dead]

    def written(self, some: Sequence[Held]) -> None:
        """Note that the rows say what was held, where it still is."""
        for held in some:
            if self.has(held):
                del self._held[held.row.agent, held.row.job_id]
            if held.one is None:
                self._delivered.pop((held.row.agent, held.row.dedup_key), None)
        self.attempts.clear()

    def counted(
        self, counts: Counts, first: list[tuple[str, str, int]], now: int, which: Which
    ) -> Counts:
        """Return ``counts`` of rows, and of the ``first`` due, as what the rows stand for."""
        held = {job: each for job, each in dict(self._held).items() if which.fits(*job)}
        waits = {job for job, each in held.items() if each.row.wake_ms <= now < _wake_ms(each)}
        due = [min(wake, now) for agent, job_id, wake in first if (agent, job_id) not in waits]
        return Counts(
            armed=max(0, counts.armed - sum(each.one is None for each in held.values())),
            due=max(0, counts.due - len(waits)),
            dead=counts.dead,
            oldest_due_ms=min(due, default=None),
        )


def _wake_ms(held: Held) -> float:
    return math.inf if held.one is None or held.one.dead else held.one.wake_ms
