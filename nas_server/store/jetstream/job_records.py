"""The records of jobs in a NATS cluster: read, and replaced by compare-and-set.

Alarms decide nothing; they bring a record to attention. Two rules keep them from missing one:

- An alarm is set before the record that names it is written, and it is acknowledged only
  after the record that replaces that one was.
- An alarm that comes before its record (whoever set it is slow, or dead) is acknowledged
  only after the record it was based on was written anew: the write it announced then fails, and
  is made again with an alarm of its own.

And an alarm is never set anew under its old name: the cluster may be delivering it at that
moment, and would then remove the new one in place of the old.
"""

import asyncio
import contextlib
from typing import Final

import attrs

from nas_sdk.protocol import one_shot
from nas_sdk.protocol.one_shot import StoredOneShot
from nas_server.store.base import ALL, StoreError, Which
from nas_server.store.jetstream.alarms import Alarms
from nas_server.store.jetstream.batched_reads import BatchedReads
from nas_server.store.jetstream.job_record import Alarm, Job, JobRecord, text_of, token
from nas_server.store.jetstream.link import ConflictError, Found, JetStreamClient

AT_ONCE: Final = 64
"""How many records are read at a time."""


class JobRecords:
    """The records of one NAS."""

    def __init__(self, link: JetStreamClient, alarms: Alarms, batched: BatchedReads) -> None:
        """Keep records through ``link``, woken by ``alarms``; some are read by ``batched``."""
        self._link = link
        self._batched = batched
        self._alarms = alarms

    async def read(self, job: Job) -> JobRecord:
        """Return what a job has, as its last answered change left it."""
        return JobRecord.decode(job, *await self._link.get(self._subject("one", job)))

    async def read_with_others(self, job: Job) -> JobRecord:
        """Return the same of a job that has a record, together with others read now."""
        return JobRecord.decode(job, *await self._batched.get(self._subject("one", job)))

    async def count(self) -> int:
        """Return how many records there are, those without a one-shot among them."""
        return await self._link.count(self._link.names.subject("one", "*", "*"))

    async def live(self, agent: str | None) -> list[StoredOneShot]:
        """Return what an agent, or all of them, have armed, with every answered change."""
        found = await self._all_of("one", agent)
        records = (JobRecord.decode(_job(subject), *kept) for subject, kept in found.items())
        return [record.live for record in records if record.live is not None]

    async def jobs(self, agent: str) -> list[Job]:
        """Return the jobs of an agent that have a record, those without a one-shot among them."""
        return [_job(subject) for subject in await self._all_of("one", agent)]

    async def dead(self, now: int, limit: int, which: Which, offset: int) -> list[StoredOneShot]:
        """Return what was given up, the newest first."""
        jobs = (await self.marked_dead(which))[offset:]
        dead: list[StoredOneShot] = []
        while jobs and len(dead) < limit:  # a few at a time: fires must not wait for a day's worth
            records = await asyncio.gather(*map(self.read, jobs[:AT_ONCE]))
            ones = (record.one for record in records if record.one is not None)
            dead += [one for one in ones if one.dead and one_shot.is_kept(one, now)]
            del jobs[:AT_ONCE]
        return dead[:limit]

    async def marked_dead(self, which: Which = ALL) -> list[Job]:
        """Return the jobs that have, or had of late, a one-shot given up, the newest first."""
        marks = await self._all_of("dead", which.agent)
        jobs = map(_job, sorted(marks, key=marks.__getitem__, reverse=True))
        return [job for job in jobs if which.fits(*job)]

    async def _all_of(self, kind: str, agent: str | None) -> dict[str, Found]:
        whose = "*" if agent is None else token(agent)
        return await self._link.all_of(self._link.names.subject(kind, whose, "*"))

    async def change(self, record: JobRecord, left: StoredOneShot | None, now: int) -> JobRecord:
        """Keep ``left`` in place of what a record has, with an alarm of its own; ConflictError."""
        if left == record.one:
            return await self.write(record, left, record.alarm)
        alarm, marked = None, 0
        if left is not None and left.dead:
            mark, ttl_s = self._subject("dead", record.job), one_shot.KEEP_DEAD_MS // 1_000
            marked = await self._link.put(mark, b"", ttl_s=ttl_s)
        elif left is not None:
            alarm = Alarm.of(left, record.revision)
            await self._alarms.set(alarm, now)
        try:
            kept = await self.write(record, left, None if alarm is None else alarm.id)
        except ConflictError:
            if alarm is not None:
                await self._alarms.drop(alarm.id)
            elif marked:  # this one; whoever was quicker may have made another
                await self._unmark(record.job, marked)
            raise
        if record.alarm is not None:
            await self._alarms.drop(record.alarm)
        elif record.one is not None:
            await self._unmark(record.job)
        return kept

    async def _unmark(self, job: Job, revision: int | None = None) -> None:
        with contextlib.suppress(StoreError):  # then it stays, and is counted, for its week
            await self._link.remove(self._link.names.state, self._subject("dead", job), revision)

    async def confirm(self, record: JobRecord) -> None:
        """Make sure that a record is as it was read, for an answer that changes nothing.

        A server that was cut off may still take itself for the leader, and give what is old;
        it can write nothing. ConflictError when the record was replaced meanwhile.
        """
        await self.write(record, record.one, record.alarm)

    async def write(
        self, record: JobRecord, one: StoredOneShot | None, alarm: str | None
    ) -> JobRecord:
        """Replace a record as it was read; ConflictError when it was replaced meanwhile."""
        kept = attrs.evolve(record, one=one, alarm=alarm)
        revision = await self._link.put(
            self._subject("one", record.job),
            kept.encode(),
            revision=record.revision,
            ttl_s=kept.ttl_s,
        )
        return attrs.evolve(kept, revision=revision)

    def _subject(self, kind: str, job: Job) -> str:
        return self._link.names.subject(kind, *map(token, job))


def _job(subject: str) -> Job:
    agent, job_id = map(text_of, subject.split(".")[-2:])
    return agent, job_id
