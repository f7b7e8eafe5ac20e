"""What this process has leased from the cluster, to deliver it."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping
from typing import Final

from nas_sdk.protocol import one_shot
from nas_sdk.protocol.one_shot import DeliveryResult, StoredOneShot
from nas_server.logs import log_event
from nas_server.store.jetstream.alarms import Alarms, PendingAlarm
from nas_server.store.jetstream.job_record import Job, JobRecord
from nas_server.store.jetstream.job_records import JobRecords
from nas_server.store.jetstream.link import ConflictError

AT_ONCE: Final = 64
"""How many one-shots are leased or dropped at a time."""


class Leases:
    """Leases one-shots whose alarms are here, until they are settled or released."""

    def __init__(self, jobs: JobRecords, alarms: Alarms, chance: Callable[[], float]) -> None:
        """Draw the jitter of what is tried again from ``chance``."""
        self._jobs = jobs
        self._alarms = alarms
        self._chance = chance
        self.held: dict[Job, JobRecord] = {}
        """Records as a lease left them, so that to settle one it need not be read again."""

    def forget(self, job: Job) -> None:
        """Read the record of a job anew when its delivery is settled."""
        self.held.pop(job, None)

    async def take(
        self, now: int, limit: int, under_way: Mapping[str, int] | None, per_agent: int | None
    ) -> list[StoredOneShot]:
        """Do what `Store.due` says, for a few at a time."""
        if under_way and per_agent is not None:
            busy = {agent for agent, load in under_way.items() if load >= per_agent}
            await self._alarms.make_room(now, busy)
        taken = self._alarms.take(now, min(limit, AT_ONCE), under_way, per_agent)
        begun = await asyncio.gather(
            *(self._begin(pending, now) for pending in taken), return_exceptions=True
        )
        leased = [one for one in begun if isinstance(one, StoredOneShot)]
        errors = [error for error in begun if isinstance(error, BaseException)]
        if errors and not leased:
            raise errors[0]
        for error in errors:
            log_event("not_begun", level=logging.WARNING, reason=str(error))
        return leased

    async def _begin(self, pending: PendingAlarm, now: int) -> StoredOneShot | None:
        """Lease what an alarm is about; None when there is nothing to do now."""
        again, leased = pending.wake_ms, False
        try:
            while True:
                record = await self._jobs.read_with_others(pending.alarm.job)
                if record.live is not None and record.alarm == pending.alarm.id:
                    again, leased = record.live.wake_ms, record.live.lease_until_ms is not None
                    if again > now:
                        return None
                    with contextlib.suppress(ConflictError):
                        self.held.pop(record.job, None)
                        one = one_shot.lease(record.live, now)
                        self.held[record.job] = await self._jobs.write(record, one, record.alarm)
                        again, leased = one.wake_ms, True
                        return one
                else:
                    with contextlib.suppress(ConflictError):
                        if record.revision == pending.alarm.base:
                            await self._jobs.write(record, record.one, record.alarm)
                        await self._alarms.acknowledge(pending)
                        self.held.pop(record.job, None)
                        return None
        except (LookupError, ValueError, TypeError) as error:
            # It is kept in no way known here; perhaps a newer server can read it.
            log_event("one_shot_unreadable", level=logging.ERROR, reason=type(error).__name__)
            await self._alarms.defer(pending, now)
            return None
        finally:
            self._alarms.reschedule(pending, again, leased=leased)

    async def settle(
        self, tried: StoredOneShot, outcome: DeliveryResult, now: int
    ) -> StoredOneShot | None:
        """Do what `Store.settle` says, but keep no attempt."""
        chance = self._chance()
        job = tried.agent, tried.job_id
        held = self.held.pop(job, None)
        record = held or await self._jobs.read(job)
        while True:
            try:
                record = await self._settle(record, tried, outcome, now, chance)
                break
            except ConflictError:
                record = await self._jobs.read(job)
        if held is not None and held.alarm is not None and held.alarm != record.alarm:
            await self._alarms.acknowledge_here(held.alarm)
        return record.one

    async def _settle(
        self,
        record: JobRecord,
        tried: StoredOneShot,
        outcome: DeliveryResult,
        now: int,
        chance: float,
    ) -> JobRecord:
        if one_shot.ends(tried, outcome):
            left = None if one_shot.is_over(record.one, tried) else record.one
            return await self._jobs.change(record.remember(tried, now), left, now)
        if one_shot.is_retried(record.one, tried):
            return await self._jobs.change(record, one_shot.retry(tried, outcome, now, chance), now)
        return record

    async def release(self, tried: StoredOneShot) -> None:
        """Hand back one that was leased and not delivered."""
        job = tried.agent, tried.job_id
        record = self.held.pop(job, None) or await self._jobs.read(job)
        while one_shot.is_retried(record.one, tried):
            with contextlib.suppress(ConflictError):
                left = one_shot.release(tried)
                record = await self._jobs.write(record, left, record.alarm)
                self._alarms.reschedule_here(record.alarm, left.wake_ms)
                return
            record = await self._jobs.read(job)
