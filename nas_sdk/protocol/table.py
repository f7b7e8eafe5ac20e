"""One-shots kept in memory by the rules: the rule book, without any I/O.

``now`` is an argument everywhere, in milliseconds since the epoch.
"""

import heapq
import random
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, Final

from nas_sdk.protocol import one_shot
from nas_sdk.protocol.one_shot import DeliveryResult, StoredOneShot

SLICE: Final = 100
"""So many that are over are forgotten at a time: whoever arms does not wait for all of them."""


class OneShotTable:
    """A set of one-shots in memory, under the rules. Not thread-safe."""

    def __init__(
        self,
        *,
        chance: Callable[[], float] = random.random,
        new_id: Callable[[], str] = one_shot.new_schedule_id,
    ) -> None:
        """Draw jitter from ``chance`` (in [0, 1)) and schedule ids from ``new_id``."""
        self._chance = chance
        self._new_id = new_id
        self._jobs: dict[str, dict[str, StoredOneShot]] = {}
        self._delivered: dict[tuple[str, str], tuple[int, str]] = {}
        self._heap: list[tuple[int, str, str]] = []
        self._sweep_at = 1_000
        self._dead: deque[StoredOneShot] = deque()

    def provision(
        self,
        agent: str,
        job_id: str,
        fire_at: str,
        callback_url: str,
        dedup_key: str,
        now: int,
        more: Mapping[str, Any] | None = None,
    ) -> str:
        """Arm the job's one-shot and return its schedule id; ValueError for a bad ``fire_at``."""
        fire = agent, job_id, fire_at, callback_url, dedup_key
        return self.arm(one_shot.fresh(*fire, self._new_id(), now, more=more), now)

    def arm(self, wanted: StoredOneShot, now: int) -> str:
        """Arm ``wanted``, a one-shot before any attempt; return the schedule id to answer."""
        self._forget(now)
        kept = self._delivered.get((wanted.agent, wanted.dedup_key))
        current = self.get(wanted.agent, wanted.job_id)
        schedule_id, write = one_shot.arm(wanted, current, one_shot.remembered(kept, now))
        if write:
            self._put(wanted)
        return schedule_id

    def get(self, agent: str, job_id: str) -> StoredOneShot | None:
        """Return the job's one-shot, a dead one too."""
        return self._jobs.get(agent, {}).get(job_id)

    def cancel(self, agent: str, job_id: str, now: int) -> bool:
        """Remove the job's one-shot; return whether there was one."""
        self._forget(now)
        return self._jobs.get(agent, {}).pop(job_id, None) is not None

    def withdraw(self, agent: str, job_id: str, schedule_id: str) -> bool:
        """Remove that one-shot; return whether the job had it."""
        one = self.get(agent, job_id)
        if one is None or one.schedule_id != schedule_id:
            return False
        del self._jobs[agent][job_id]
        return True

    def drop(self, agent: str, before: int) -> None:
        """Remove what older credentials armed, and forget what was delivered."""
        for one in [one for one in self._jobs.get(agent, {}).values() if one.generation < before]:
            del self._jobs[agent][one.job_id]
        for key in [key for key in self._delivered if key[0] == agent]:
            del self._delivered[key]

    def fire_now(self, agent: str, job_id: str, schedule_id: str, now: int) -> StoredOneShot | None:
        """Make that one-shot due at once; return it, None when the job has another or none."""
        one = self.get(agent, job_id)
        if one is None or one.schedule_id != schedule_id:
            return None
        self._put(sooner := one_shot.fire_now(one, now))
        return sooner

    def armed(self, agent: str) -> list[StoredOneShot]:
        """Return what the agent has armed, one-shots being delivered among them."""
        return [one for one in self._jobs.get(agent, {}).values() if not one.dead]

    def dead(self, now: int) -> list[StoredOneShot]:
        """Return what was given up, of all agents."""
        return [one for one in self if one.dead and one_shot.is_kept(one, now)]

    def __iter__(self) -> Iterator[StoredOneShot]:
        return (one for jobs in self._jobs.values() for one in jobs.values())

    def due(
        self,
        now: int,
        limit: int,
        *,
        under_way: Mapping[str, int] | None = None,
        per_agent: int | None = None,
    ) -> list[StoredOneShot]:
        """Lease and return up to ``limit`` one-shots whose time has come, earliest first.

        With ``per_agent``, an agent that already has that many deliveries ``under_way``
        gets no more, and the others are not held up by it.
        """
        taken: list[StoredOneShot] = []
        passed: list[StoredOneShot] = []
        load: Counter[str] = Counter(under_way)
        while len(taken) < limit and (one := self._first()) and one.wake_ms <= now:
            heapq.heappop(self._heap)
            if per_agent is not None and load[one.agent] >= per_agent:
                passed.append(one)
                continue
            load[one.agent] += 1
            taken.append(one_shot.lease(one, now))
            self._put(taken[-1])
        for each in passed:
            self._put(each)
        return taken

    def next_due(self, busy: Collection[str] = ()) -> int | None:
        """Return when the next one-shot needs attention, those of ``busy`` agents aside."""
        passed: list[StoredOneShot] = []
        while (one := self._first()) and one.agent in busy:
            heapq.heappop(self._heap)
            passed.append(one)
        for each in passed:
            self._put(each)
        return None if one is None else one.wake_ms

    def settle(
        self, tried: StoredOneShot, outcome: DeliveryResult, now: int
    ) -> StoredOneShot | None:
        """Note how the delivery of ``tried`` ended; return what the job has now."""
        current = self.get(tried.agent, tried.job_id)
        if one_shot.ends(tried, outcome):
            key = (tried.agent, tried.dedup_key)
            self._delivered.pop(key, None)
            self._delivered[key] = (now + one_shot.REMEMBER_MS, tried.schedule_id)
            if one_shot.is_over(current, tried):
                del self._jobs[tried.agent][tried.job_id]
        elif one_shot.is_retried(current, tried):
            self._put(one_shot.retry(tried, outcome, now, self._chance()))
            self._bury(now)
        return self.get(tried.agent, tried.job_id)

    def release(self, tried: StoredOneShot) -> None:
        """Hand back a delivery that was leased and not made."""
        if one_shot.is_retried(self.get(tried.agent, tried.job_id), tried):
            self._put(one_shot.release(tried))

    def _put(self, one: StoredOneShot) -> None:
        self._jobs.setdefault(one.agent, {})[one.job_id] = one
        if one.dead:
            self._dead.append(one)
        else:
            heapq.heappush(self._heap, (one.wake_ms, one.agent, one.job_id))
            if len(self._heap) > self._sweep_at:
                self._sweep()

    def _sweep(self) -> None:
        """Rebuild the heap without its stale entries; re-arming far ahead piles them up."""
        self._heap = [(one.wake_ms, one.agent, one.job_id) for one in self if not one.dead]
        heapq.heapify(self._heap)
        self._sweep_at = 2 * len(self._heap) + 1_000

    def _first(self) -> StoredOneShot | None:
        """Return the live one-shot at the head of the heap, dropping entries gone stale."""
        while self._heap:
            wake, agent, job_id = self._heap[0]
            one = self.get(agent, job_id)
            if one is not None and not one.dead and one.wake_ms == wake:
                return one
            heapq.heappop(self._heap)
        return None

    def _bury(self, now: int) -> None:
        """Remove what has been dead for long; they died in order of time."""
        for _ in range(SLICE):
            if not self._dead or one_shot.is_kept(self._dead[0], now):
                return
            one = self._dead.popleft()
            if self.get(one.agent, one.job_id) is one:
                del self._jobs[one.agent][one.job_id]

    def _forget(self, now: int) -> None:
        """Drop delivered keys whose time is over; they were remembered in order of time."""
        for _ in range(min(SLICE, len(self._delivered))):
            key, (until, _) = next(iter(self._delivered.items()))
            if until > now:
                return
            del self._delivered[key]
