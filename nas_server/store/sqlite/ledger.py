"""One-shots in SQLite by the rules: what the writer's thread does, within its transactions."""

import contextlib
import sqlite3
from collections import Counter
from collections.abc import Collection, Sequence
from contextlib import closing

from nas_sdk.protocol import one_shot
from nas_sdk.protocol.one_shot import DeliveryResult, StoredOneShot
from nas_server.history import Attempt
from nas_server.policy import SQLITE, SqlitePolicy
from nas_server.store.base import PROBE
from nas_server.store.ready import Ready
from nas_server.store.sqlite import rows
from nas_server.store.sqlite.held import Held, HeldOneShots


class Ledger:
    """Fetches what the rules decide about and keeps what they say."""

    def __init__(self, connection: sqlite3.Connection, policy: SqlitePolicy = SQLITE) -> None:
        """Work through ``connection``, in the one thread that writes one-shots."""
        self._policy = policy
        self._db = connection
        self._ready = Ready()
        self._most = policy.ready
        self._forgot = -rows.FORGET_MS
        self.held = HeldOneShots()

    def rolled_back(self) -> None:
        """Forget what was done since the last commit, which is undone."""
        self._name_anew()

    def provision(self, wanted: StoredOneShot, now: int) -> str:
        """Arm by the rules; return the schedule id to answer."""
        held = self.held.remembered(wanted.agent, wanted.dedup_key, now)
        if held is None and rows.put_first(self._db, wanted, now):
            self._name(wanted)
            return one_shot.arm(wanted, None, None)[0]
        delivered, row = rows.known(self._db, wanted)
        remembered = held or one_shot.remembered(delivered, now)
        current = self.held.current(wanted.agent, wanted.job_id, row)
        schedule_id, write = one_shot.arm(wanted, current, remembered)
        if write:
            self._put(wanted)
        return schedule_id

    def try_arm(self, wanted: StoredOneShot, now: int) -> None:
        """Read and write as to arm ``wanted``, which is not armed."""
        self._db.execute("SAVEPOINT trial")
        try:
            self.provision(wanted, now)
        finally:
            with contextlib.suppress(sqlite3.Error):  # SQLite may have rolled back all of it
                self._db.execute("ROLLBACK TO trial")
            self._name_anew()
        rows.write(self._db, PROBE, "arm", "{}")

    def cancel(self, agent: str, job_id: str) -> None:
        """Remove what the job has."""
        rows.delete(self._db, agent, job_id)

    def withdraw(self, agent: str, job_id: str, schedule_id: str) -> bool:
        """Remove a one-shot; return whether the job had it."""
        one = self._get(agent, job_id)
        if one is None or one.schedule_id != schedule_id:
            return False
        rows.delete(self._db, agent, job_id)
        return True

    def forget_gone(self, agent: str) -> None:
        """Hold nothing of the agent's jobs whose rows are there no longer."""
        for each in self.held.each():
            if each.row.agent == agent and rows.get(self._db, agent, each.row.job_id) is None:
                self.held.forget(agent, each.row.job_id)

    def fire_now(self, agent: str, job_id: str, schedule_id: str, now: int) -> StoredOneShot | None:
        """Make a one-shot due at once; None when the job does not have it."""
        one = self._get(agent, job_id)
        if one is None or one.schedule_id != schedule_id:
            return None
        if (sooner := one_shot.fire_now(one, now)) != one:
            self._put(sooner)
        return sooner

    def due(
        self, now: int, limit: int, load: Counter[str], per_agent: int | None
    ) -> list[StoredOneShot]:
        """Lease what is due, earliest first; ``load`` says what each agent has under way.

        A lease is no write: it is held, and lost with the process.
        """
        taken: list[StoredOneShot] = []
        try:
            self._read_up_to(now)
            with closing(self._ready.take(now, load, per_agent)) as names:
                for agent, job_id, wake in names:
                    if (waiting := self._waiting(agent, job_id, wake)) is None:
                        continue
                    row, one = waiting
                    load[agent] += 1
                    taken.append(one_shot.lease(one, now))
                    self.held.put(row, taken[-1])
                    if len(taken) == limit:
                        break
        except BaseException:  # nobody hears of them
            for one in taken:
                self.held.drop(one)
            self._name_anew()
            raise
        return taken

    def next_due(self, busy: Collection[str]) -> int | None:
        """Return when to look again, as `Store.next_due` has it."""
        self._name_held(self._ready.horizon)
        while (name := self._ready.first(busy)) is not None:
            if self._waiting(*name) is not None:
                return name[2]
            self._ready.drop(name[0])
        wakes = rows.first_wake(self._db, self._ready.horizon), self.held.first_wake()
        return min((wake for wake in wakes if wake is not None), default=None)

    def settle(
        self, tried: StoredOneShot, outcome: DeliveryResult, now: int, chance: float
    ) -> StoredOneShot | None:
        """Note how a delivery ended; return what the job has now."""
        if one_shot.ends(tried, outcome):
            # First what makes room for the rest.
            over = rows.end(self._db, tried)
            left = None if over else self._get(tried.agent, tried.job_id)
            self._forget(now)
            rows.remember(self._db, tried, now + one_shot.REMEMBER_MS)
        else:
            current = self._get(tried.agent, tried.job_id)
            left = _left(tried, current, outcome, now, chance)
            if left is not None and left != current:
                self._put(left)
                rows.bury(self._db, now)
        rows.keep_attempt(self._db, Attempt.of(tried, outcome, left, now), self._policy.history)
        return left

    def hold(
        self, tried: StoredOneShot, outcome: DeliveryResult, now: int, chance: float
    ) -> StoredOneShot | None:
        """Note how a delivery ended where it cannot be written; return what the job has now."""
        row = rows.get(self._db, tried.agent, tried.job_id)
        current = self.held.current(tried.agent, tried.job_id, row)
        left = _left(tried, current, outcome, now, chance)
        if one_shot.ends(tried, outcome):
            self.held.remember(tried, now + one_shot.REMEMBER_MS)
        if row is not None and left != current:
            self.held.put(row, left)
        self.held.attempts.append(Attempt.of(tried, outcome, left, now))
        return left

    def write_held(self, some: Sequence[Held]) -> None:
        """Write what is held, those under way as handed back."""
        for each in some:
            agent, job_id = each.row.agent, each.row.job_id
            # Since they were gathered, one may have been leased, or its row replaced.
            if self.held.has(each) and rows.get(self._db, agent, job_id) == each.row:
                if each.one is None:
                    rows.delete(self._db, agent, job_id)
                else:
                    self._put(one_shot.release(each.one))
            if each.one is None and (kept := self.held.kept(each.row)) is not None:
                rows.remember(self._db, each.row, kept[0])
        for attempt in self.held.attempts:
            rows.keep_attempt(self._db, attempt, self._policy.history)

    def release(self, some: Sequence[StoredOneShot]) -> None:
        """Hand back deliveries that were not made; no write, as a lease is none."""
        for tried in some:
            row = rows.get(self._db, tried.agent, tried.job_id)
            current = self.held.current(tried.agent, tried.job_id, row)
            if row is not None and one_shot.is_retried(current, tried):
                self.held.put(row, one_shot.release(tried))

    def _forget(self, now: int) -> None:
        """Forget delivered keys whose time is over; once there are no more, rest for a while."""
        if not self._forgot <= now < self._forgot + rows.FORGET_MS:
            more = rows.forget_delivered(self._db, now)
            self._forgot = -rows.FORGET_MS if more else now

    def _get(self, agent: str, job_id: str) -> StoredOneShot | None:
        """Return what a job has, as it is: a delivery under way is in no row."""
        return self.held.current(agent, job_id, rows.get(self._db, agent, job_id))

    def _waiting(
        self, agent: str, job_id: str, wake: int
    ) -> tuple[StoredOneShot, StoredOneShot] | None:
        """Return the row and the one-shot that wait since ``wake``; to be asked between writes.

        None when it was cancelled, replaced or begun meanwhile.
        """
        row = rows.get(self._db, agent, job_id)
        if row is None:  # withdrawn, or its agent's are dropped
            self.held.forget(agent, job_id)
            return None
        one = self.held.current(agent, job_id, row)
        return None if one is None or one.dead or one.wake_ms != wake else (row, one)

    def _put(self, one: StoredOneShot) -> None:
        rows.put(self._db, one)
        self._name(one)

    def _name(self, one: StoredOneShot) -> None:
        if not one.dead and one.wake_ms <= self._ready.horizon:
            self._ready.add(one.agent, one.job_id, one.wake_ms)

    def _read_up_to(self, now: int) -> None:
        if len(self._ready) > self._most:
            # While an agent is full, what it arms anew leaves names behind that nobody takes.
            self._most = 2 * rows.count_due(self._db, now) + self._policy.ready
            if len(self._ready) > self._most:
                self._name_anew()
        if now > self._ready.horizon:
            for agent, job_id, wake in rows.waking(self._db, self._ready.horizon, now):
                self._ready.add(agent, job_id, wake)
            self._ready.horizon = now
        self._name_held(now)

    def _name_anew(self) -> None:
        self._ready.clear()
        self.held.wake_all()

    def _name_held(self, now: int) -> None:
        for agent, job_id, wake in self.held.waking(now):
            self._ready.add(agent, job_id, wake)


def _left(
    tried: StoredOneShot,
    current: StoredOneShot | None,
    outcome: DeliveryResult,
    now: int,
    chance: float,
) -> StoredOneShot | None:
    """Return what a job has, after what it has now was ``tried``."""
    if one_shot.ends(tried, outcome):
        return None if one_shot.is_over(current, tried) else current
    return (
        one_shot.retry(tried, outcome, now, chance)
        if one_shot.is_retried(current, tried)
        else current
    )
