"""The distributed store: one NATS JetStream cluster, worked on by any number of processes.

What a job has is one record, and every change of it is one compare-and-set. An alarm
in the cluster brings each record to the attention of one process when its time comes.
"""

import asyncio
import contextlib
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from random import random
from typing import Final, Self

import attrs

from nas_sdk._typing import override
from nas_sdk.protocol import one_shot
from nas_sdk.protocol.one_shot import DeliveryResult, StoredOneShot
from nas_server.history import Attempt
from nas_server.policy import JETSTREAM, JetStreamPolicy
from nas_server.store.base import (
    ALL,
    Counts,
    Histogram,
    Record,
    StorageFullError,
    Store,
    StoreError,
    TooManyError,
    TooOftenError,
    Which,
)
from nas_server.store.histogram import histogram, in_order
from nas_server.store.jetstream.alarms import Alarms
from nas_server.store.jetstream.batched_reads import BatchedReads
from nas_server.store.jetstream.history import NatsHistory
from nas_server.store.jetstream.job_record import Job, JobRecord, token
from nas_server.store.jetstream.job_records import JobRecords
from nas_server.store.jetstream.leases import AT_ONCE, Leases
from nas_server.store.jetstream.link import ConflictError, JetStreamClient
from nas_server.store.jetstream.records import NatsKeyValue
from nas_server.store.jetstream.room import Room
from nas_server.store.jetstream.setup import CONSUMER, Place, connect, prepare

ONE_SHOT: Final = 1_024
"""Bytes of a one-shot, its URL aside."""


class JetStreamStore(Store):
    """Keeps everything in a NATS cluster. Open it with `open`."""

    alarms = Alarms

    def __init__(self, link: JetStreamClient, alarms: Alarms, chance: Callable[[], float]) -> None:
        """Work through ``link`` and be woken by ``alarms``."""
        self._link = link
        self._alarms = alarms
        batched = BatchedReads(link)
        self._jobs = JobRecords(link, alarms, batched)
        self._records = NatsKeyValue(link, batched)
        self._history = NatsHistory(link)
        self._room = Room(link)
        self._leases = Leases(self._jobs, alarms, chance)

    @classmethod
    async def open(
        cls,
        url: str,
        *,
        serving: bool = True,
        create: bool = True,
        chance: Callable[[], float] = random,
        policy: JetStreamPolicy = JETSTREAM,
    ) -> Self:
        """Connect to the cluster of a ``nats://`` URL, and make there what is missing.

        ``serving`` takes part in delivering. Without ``create``, there must be a store under
        that name. Raises StoreError.
        """
        place = Place.parse(url)
        link = JetStreamClient(await connect(place, policy), place.names, policy)
        alarms = cls.alarms(link)
        store = cls(link, alarms, chance)
        try:
            await prepare(link, place.hosts, create=create)
            if serving:
                await store._room.start()
                await alarms.start()
        except BaseException:
            await store._room.close()
            await link.close()
            raise
        return store

    @override
    def listen(self, expect: Callable[[int], object]) -> None:
        self._alarms.listen(expect)

    @property
    def pending(self) -> int:
        """How many one-shots the cluster has brought to the attention of this process."""
        return len(self._alarms)

    @override
    async def provision(self, wanted: StoredOneShot, now: int) -> str:
        self._room.take(len(wanted.callback_url) + ONE_SHOT)
        try:
            return await self._provision(wanted, now)
        except StorageFullError:
            self._room.refused()
            raise

    async def _provision(self, wanted: StoredOneShot, now: int) -> str:
        while True:
            record = await self._jobs.read((wanted.agent, wanted.job_id))
            delivered = record.remembered(wanted.dedup_key, now)
            schedule_id, write = one_shot.arm(wanted, record.one, delivered)
            if write and (wait_ms := record.wait_ms(now)):
                raise TooOftenError(math.ceil(wait_ms / 1_000))
            with contextlib.suppress(ConflictError):
                if write:
                    await self._jobs.change(record, wanted, now)
                    self._leases.forget(record.job)
                else:
                    await self._jobs.confirm(record)
                return schedule_id

    @override
    async def cancel(self, agent: str, job_id: str, now: int) -> None:
        await self._remove((agent, job_id), lambda record: record.one is not None, now)

    @override
    async def withdraw(self, agent: str, job_id: str, schedule_id: str, now: int) -> bool:
        return await self._remove((agent, job_id), lambda record: record.has(schedule_id), now)

    @override
    async def drop(self, agent: str, before: int) -> None:
        jobs = await self._jobs.jobs(agent)
        for start in range(0, len(jobs), AT_ONCE):
            await asyncio.gather(
                *(self._drop(job, before) for job in jobs[start : start + AT_ONCE])
            )

    async def _drop(self, job: Job, before: int) -> None:
        while True:
            record = await self._jobs.read(job)
            old = record.one is not None and record.one.generation < before
            if not old and not record.delivered:
                return
            with contextlib.suppress(ConflictError):
                left = None if old else record.one
                await self._jobs.change(attrs.evolve(record, delivered={}), left, 0)
                self._leases.forget(job)
                return

    async def _remove(self, job: Job, fits: Callable[[JobRecord], bool], now: int) -> bool:
        while True:
            record = await self._jobs.read(job)
            with contextlib.suppress(ConflictError):
                if not fits(record):
                    if not record.revision:  # then it makes no room, and its note takes some
                        self._room.take(len(token(job[1])))
                    await self._jobs.confirm(record)
                    return False
                await self._jobs.change(record, None, now)
                self._leases.forget(job)
                return True

    @override
    async def fire_now(
        self, agent: str, job_id: str, schedule_id: str, now: int
    ) -> StoredOneShot | None:
        while True:
            record = await self._jobs.read((agent, job_id))
            if record.one is None or not record.has(schedule_id):
                return None
            with contextlib.suppress(ConflictError):
                return (
                    await self._jobs.change(record, one_shot.fire_now(record.one, now), now)
                ).one

    @override
    async def armed(self, agent: str) -> list[StoredOneShot]:
        return await self._jobs.live(agent)

    @override
    async def due(
        self,
        now: int,
        limit: int,
        *,
        under_way: Mapping[str, int] | None = None,
        per_agent: int | None = None,
    ) -> list[StoredOneShot]:
        """A few at a time, so that the first need not wait for the last."""
        return await self._leases.take(now, limit, under_way, per_agent)

    @override
    async def next_due(self, busy: Collection[str] = ()) -> int | None:
        """Of what was delivered to this process; the cluster knows the rest."""
        if not self._link.is_connected():
            raise StoreError("the connection to the NATS cluster is lost; it is being sought")
        return self._alarms.next_due(busy)

    @override
    async def settle(
        self, tried: StoredOneShot, outcome: DeliveryResult, now: int
    ) -> StoredOneShot | None:
        left = await self._leases.settle(tried, outcome, now)
        self._history.add(Attempt.of(tried, outcome, left, now))
        return left

    @override
    async def release(self, held: Sequence[StoredOneShot]) -> None:
        done = await asyncio.gather(*map(self._leases.release, held), return_exceptions=True)
        for error in done:
            if error is not None:
                raise error

    @override
    async def dead(
        self, now: int, limit: int, which: Which = ALL, offset: int = 0
    ) -> list[StoredOneShot]:
        return await self._jobs.dead(now, limit, which, offset)

    @override
    async def upcoming(
        self, limit: int, which: Which = ALL, offset: int = 0
    ) -> list[StoredOneShot]:
        """The cluster keeps no order; it takes all records to find it."""
        return in_order(await self._live(which))[offset : offset + limit]

    @override
    async def histogram(
        self, start: int, end: int, bins: int, most: int, which: Which = ALL
    ) -> Histogram:
        return histogram(await self._live(which), start, end, bins, most)

    async def _live(self, which: Which) -> list[StoredOneShot]:
        most = self._link.policy.sorted
        if which.agent is None and await self._jobs.count() > most:
            raise TooManyError(f"more than {most} jobs have one, or had of late; ask for one agent")
        armed = await self._jobs.live(which.agent)
        return [one for one in armed if which.fits(one.agent, one.job_id)]

    @override
    async def attempts(
        self, now: int, limit: int, which: Which = ALL, offset: int = 0
    ) -> list[Attempt]:
        """One may be missing when the cluster had no leader for long."""
        return await self._history.newest(now, limit, which, offset)

    @override
    async def counts(self, now: int, which: Which = ALL) -> Counts:
        """What was delivered to another process counts as due.

        How long the dead count is by the cluster's clock.
        """
        if which != ALL:
            return await self._counts_of(which, now)
        names = self._link.names
        stream, consumer, dead = await asyncio.gather(
            self._link.api(f"STREAM.INFO.{names.alarms}", {}),
            self._link.api(f"CONSUMER.INFO.{names.alarms}.{CONSUMER}", {}),
            self._jobs.marked_dead(),
        )
        handed_out = consumer["num_pending"] + consumer["num_ack_pending"]
        due, oldest = max(0, handed_out - self._alarms.not_due(now)), self._alarms.first_due(now)
        if self._room.is_full and await self._jobs.count() <= self._link.policy.sorted:
            # Whether an alarm is delivered then is not to be relied on.
            waiting = [one.wake_ms for one in await self._jobs.live(None) if one.wake_ms <= now]
            due, oldest = len(waiting), min(waiting, default=None)
        return Counts(stream["state"]["messages"], due, len(dead), oldest)

    async def _counts_of(self, which: Which, now: int) -> Counts:
        live = await self._live(which)
        due = [one.wake_ms for one in live if one.wake_ms <= now]
        dead = await self._jobs.marked_dead(which)
        return Counts(len(live), len(due), len(dead), min(due, default=None))

    @override
    async def arm_error(self) -> StoreError | None:
        return await self._room.arm_error()

    @override
    async def read(self, kind: str, key: str) -> Record | None:
        return await self._records.read(kind, key)

    @override
    async def write(self, kind: str, key: str, record: Record | None) -> None:
        await self._records.write(kind, key, record)

    @override
    async def swap(self, kind: str, key: str, old: Record | None, record: Record | None) -> bool:
        return await self._records.swap(kind, key, old, record)

    @override
    async def scan(self, kind: str) -> dict[str, Record]:
        return await self._records.scan(kind)

    @override
    async def stop_accepting(self) -> None:
        await self._alarms.stop_accepting()

    @override
    async def close(self) -> None:
        await self._room.close()
        await self._alarms.close()
        await self._history.written()
        await self._link.close()
