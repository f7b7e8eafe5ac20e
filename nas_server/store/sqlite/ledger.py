"""One-shots in SQLite by the rules: what the writer's thread does, within its transactions."""

import sqlite3
from collections import Counter
from collections.abc import Collection, Sequence
from contextlib import closing
from typing import Final

from nas_sdk.protocol import one_shot
from nas_sdk.protocol.one_shot import DeliveryResult, StoredOneShot
from nas_server.history import Attempt
from nas_server.store.ready import Ready
from nas_server.store.sqlite import rows

FEW: Final = 10_000
"""So many names are no burden, whether what they name still waits or not."""


class Ledger:
    """Fetches what the rules decide about and keeps what they say."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        """Work through ``connection``, in the one thread that writes one-shots."""
        self._db = connection
        self._ready = Ready()
        self._most = FEW

    def rolled_back(self) -> None:
        """Be told that what was done since the last commit is undone."""
        self._ready.clear()

    def provision(self, wanted: StoredOneShot, now: int) -> str:
        """Arm by the rules; return the schedule id to answer."""
        remembered = rows.delivered(self._db, wanted.agent, wanted.dedup_key, now)
        current = rows.get(self._db, wanted.agent, wanted.job_id)
        schedule_id, write = one_shot.arm(wanted, current, remembered)
        if write:
            self._put(wanted)
        return schedule_id

    def cancel(self, agent: str, job_id: str) -> None:
        """Remove what the job has."""
        rows.delete(self._db, agent, job_id)

    def withdraw(self, agent: str, job_id: str, schedule_id: str) -> bool:
        """Remove a one-shot; return whether the job had it."""
        one = rows.get(self._db, agent, job_id)
        if one is None or one.schedule_id != schedule_id:
            return False
        rows.delete(self._db, agent, job_id)
        return True

    def fire_now(self, agent: str, job_id: str, schedule_id: str, now: int) -> StoredOneShot | None:
        """Make a one-shot due at once; None when the job does not have it."""
        one = rows.get(self._db, agent, job_id)
        if one is None or one.schedule_id != schedule_id:
            return None
        self._put(hastened := one_shot.fire_now(one, now))
        return hastened

    def due(
        self, now: int, limit: int, load: Counter[str], per_agent: int | None
    ) -> list[StoredOneShot]:
        """Lease what is due, earliest first; ``load`` says what each agent has under way."""
        self._read_up_to(now)
        taken: list[StoredOneShot] = []
        with closing(self._ready.take(now, load, per_agent)) as names:
            for name in names:
                if (one := self._waiting(name)) is None:
                    continue
                load[one.agent] += 1
                taken.append(one_shot.lease(one, now))
                self._put(taken[-1])
                if len(taken) == limit:
                    break
        return taken

    def next_due(self, busy: Collection[str]) -> int | None:
        """Return when to look again, as `Store.next_due` has it."""
        while (name := self._ready.first(busy)) is not None:
            if self._waiting(name) is not None:
                return name[2]
            self._ready.drop(name[0])
        return rows.first_wake(self._db, self._ready.horizon)

    def settle(
        self, tried: StoredOneShot, outcome: DeliveryResult, now: int, chance: float
    ) -> StoredOneShot | None:
        """Note how a delivery ended; return what the job has now."""
        left = self._settle(tried, outcome, now, chance)
        rows.keep_attempt(self._db, Attempt.of(tried, outcome, left, now))
        return left

    def _settle(
        self, tried: StoredOneShot, outcome: DeliveryResult, now: int, chance: float
    ) -> StoredOneShot | None:
        current = rows.get(self._db, tried.agent, tried.job_id)
        if one_shot.ends(tried, outcome):
            rows.remember(self._db, tried, now, now + one_shot.REMEMBER_MS)
            if one_shot.is_over(current, tried):
                rows.delete(self._db, tried.agent, tried.job_id)
                return None
        elif one_shot.is_retried(current, tried):
            current = one_shot.retry(tried, outcome, now, chance)
            self._put(current)
            rows.bury(self._db, now)
        return current

    def release(self, held: Sequence[StoredOneShot]) -> None:
        """Hand back deliveries that were not made."""
        for one in held:
            if one_shot.is_retried(rows.get(self._db, one.agent, one.job_id), one):
                self._put(one_shot.release(one))

    def _waiting(self, name: tuple[str, str, int]) -> StoredOneShot | None:
        """Return what a name stands for, unless it was cancelled or replaced meanwhile."""
        agent, job_id, wake = name
        one = rows.get(self._db, agent, job_id)
        return None if one is None or one.dead or one.wake_ms != wake else one

    def _put(self, one: StoredOneShot) -> None:
        rows.put(self._db, one)
        if not one.dead and one.wake_ms <= self._ready.horizon:
            self._ready.add(one.agent, one.job_id, one.wake_ms)

    def _read_up_to(self, now: int) -> None:
        if len(self._ready) > self._most:
            # While an agent is full, what it arms anew leaves names behind that nobody takes.
            self._most = 2 * rows.count_due(self._db, now) + FEW
            if len(self._ready) > self._most:
                self._ready.clear()
        if now > self._ready.horizon:
            for agent, job_id, wake in rows.waking(self._db, self._ready.horizon, now):
                self._ready.add(agent, job_id, wake)
            self._ready.horizon = now
