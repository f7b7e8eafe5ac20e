"""The embedded store: one SQLite file, written by one thread, safe against ``kill -9``."""

import asyncio
import contextlib
import json
import logging
import sqlite3
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from pathlib import Path
from random import random

from nas_sdk._typing import override
from nas_sdk.protocol.one_shot import DeliveryResult, StoredOneShot
from nas_server.history import Attempt
from nas_server.logs import log_event
from nas_server.policy import SQLITE, SqlitePolicy
from nas_server.store.base import (
    ALL,
    PROBE,
    Counts,
    Histogram,
    Record,
    StorageFullError,
    Store,
    StoreError,
    Which,
)
from nas_server.store.sqlite import rows
from nas_server.store.sqlite.held import Held
from nas_server.store.sqlite.ledger import Ledger
from nas_server.store.sqlite.lock import told
from nas_server.store.sqlite.opening import Opened, open_file
from nas_server.store.sqlite.reader import Reader, guarded
from nas_server.store.sqlite.writer import Writer


class SqliteStore(Store):
    """Keeps everything in one file. Open it with `open`, within the event loop it serves."""

    def __init__(self, opened: Opened, chance: Callable[[], float], policy: SqlitePolicy) -> None:
        """Take over what is ``opened``."""
        self._opened = opened
        self._writing, lock, guard = opened.writing, opened.lock, opened.guard
        self._policy = policy
        self._ledger = Ledger(self._writing, policy)
        self._writer = Writer(
            self._writing,
            self._ledger.rolled_back,
            reserve=None if lock is None else opened.reserve,
            check=_no_check if guard is None else guard.check,
            full_s=policy.full_s,
        )
        self._arm_error: StoreError | None = None
        self._failed: Callable[[], Awaitable[object]] | None = None
        """What an arm needs and did not get, to be tried until it is had again."""
        self._closed = False
        self._watching: asyncio.Task[None] | None = None
        if lock is not None:
            self._watching = asyncio.create_task(self._watch())
        # A search by the page reads all there is; the lists of agents do not wait for it.
        self._reading = Reader(opened.reading, "nas-store-reader", self._known_error)
        self._listing = Reader(opened.listing, "nas-store-lister", self._known_error)
        self._chance = chance

    @classmethod
    async def open(
        cls,
        path: Path,
        *,
        serving: bool = True,
        create: bool = True,
        chance: Callable[[], float] = random,
        policy: SqlitePolicy = SQLITE,
    ) -> "SqliteStore":
        """Open the file, ``create`` it, or bring it up to date.

        ``serving`` makes this the one process that delivers: it refuses to start beside
        another, and takes back every lease, for a lease found here belongs to a process
        that was killed. Without it only records may be changed. Raises StoreError.
        """
        try:
            opened = await asyncio.to_thread(open_file, path, serving, create, policy)
        except sqlite3.Error as error:
            raise StoreError(f"cannot open {path}: {error}") from None
        return cls(opened, chance, policy)

    @override
    async def provision(self, wanted: StoredOneShot, now: int) -> str:
        try:
            return await self._writer.run(lambda: self._ledger.provision(wanted, now))
        except StoreError:
            self._failed = lambda: self._writer.run(lambda: self._ledger.try_arm(wanted, now))
            raise

    @override
    async def cancel(self, agent: str, job_id: str, now: int) -> None:
        await self._writer.run(
            lambda: self._ledger.cancel(agent, job_id),
            frees=True,
            then=lambda: self._ledger.held.forget(agent, job_id),
        )

    @override
    async def withdraw(self, agent: str, job_id: str, schedule_id: str, now: int) -> bool:
        return await self._writer.run(
            lambda: self._ledger.withdraw(agent, job_id, schedule_id),
            frees=True,
            then=lambda: self._ledger.forget_gone(agent),
        )

    @override
    async def drop(self, agent: str, before: int) -> None:
        await self._writer.run(
            lambda: rows.drop(self._writing, agent, before),
            then=lambda: self._ledger.forget_gone(agent),
        )

    @override
    async def fire_now(
        self, agent: str, job_id: str, schedule_id: str, now: int
    ) -> StoredOneShot | None:
        return await self._writer.run(
            lambda: self._ledger.fire_now(agent, job_id, schedule_id, now)
        )

    @override
    async def armed(self, agent: str) -> list[StoredOneShot]:
        return self._as_they_are(await self._listing.read(lambda db: rows.armed(db, agent)))

    @override
    async def due(
        self,
        now: int,
        limit: int,
        *,
        under_way: Mapping[str, int] | None = None,
        per_agent: int | None = None,
    ) -> list[StoredOneShot]:
        load = Counter(under_way)
        return await self._writer.look(lambda: self._ledger.due(now, limit, load, per_agent))

    @override
    async def next_due(self, busy: Collection[str] = ()) -> int | None:
        return await self._writer.look(lambda: self._ledger.next_due(busy))

    @override
    def listen(self, expect: Callable[[int], object]) -> None:
        """No other process delivers from the same file."""

    @override
    async def settle(
        self, tried: StoredOneShot, outcome: DeliveryResult, now: int
    ) -> StoredOneShot | None:
        """What cannot be written is held, and written when it can be."""
        chance = self._chance()
        try:
            return await self._writer.run(
                lambda: self._ledger.settle(tried, outcome, now, chance),
                frees=True,
                then=lambda: self._ledger.held.drop(tried),
            )
        except StoreError as error:
            log_event("not_written_yet", level=logging.WARNING, reason=str(error))
            return await self._writer.look(lambda: self._ledger.hold(tried, outcome, now, chance))

    @override
    async def release(self, held: Sequence[StoredOneShot]) -> None:
        await self._writer.look(lambda: self._ledger.release(held))

    @override
    async def dead(
        self, now: int, limit: int, which: Which = ALL, offset: int = 0
    ) -> list[StoredOneShot]:
        return await self._reading.read(lambda db: rows.dead(db, now, limit, which, offset))

    @override
    async def upcoming(
        self, limit: int, which: Which = ALL, offset: int = 0
    ) -> list[StoredOneShot]:
        over = len(self._ledger.held.over())
        if not over:
            found = await self._reading.read(lambda db: rows.upcoming(db, limit, which, offset))
            return self._as_they_are(found)
        # Rows whose one-shots are over must not take the places of others.
        enough = offset + limit + over
        found = await self._reading.read(lambda db: rows.upcoming(db, enough, which, 0))
        return self._as_they_are(found)[offset : offset + limit]

    @override
    async def histogram(
        self, start: int, end: int, bins: int, most: int, which: Which = ALL
    ) -> Histogram:
        return await self._reading.read(
            lambda db: rows.histogram(db, start, end, bins, most, which)
        )

    def _as_they_are(self, found: list[StoredOneShot]) -> list[StoredOneShot]:
        """Return what rows stand for."""
        held = self._ledger.held
        ones = (held.current(row.agent, row.job_id, row) for row in found)
        return [one for one in ones if one is not None and not one.dead]

    @override
    async def attempts(
        self, now: int, limit: int, which: Which = ALL, offset: int = 0
    ) -> list[Attempt]:
        return await self._reading.read(
            lambda db: rows.attempts(db, now, limit, which, offset, self._policy.history)
        )

    @override
    async def counts(self, now: int, which: Which = ALL) -> Counts:
        held = self._ledger.held
        some = len(held) + 1  # one of them is not held
        counts, first = await self._reading.read(
            lambda db: (rows.counts(db, now, which), rows.first_due(db, now, some, which))
        )
        return held.counted(counts, first, now, which)

    @override
    async def arm_error(self) -> StoreError | None:
        if self._watching is None:
            return StorageFullError() if self._opened.reserve.is_given_up() else self._known_error()
        before, failed = self._arm_error, self._failed
        try:
            await self._writer.look(self._check_writable)
            self._arm_error = None
            if failed is not None:
                await failed()
                if self._failed is failed:  # no other failed meanwhile
                    self._failed = None
        except StoreError as error:
            self._arm_error = error
        if str(self._arm_error) != str(before):
            self._tell(self._arm_error)
        return self._arm_error

    def _tell(self, error: StoreError | None) -> None:
        if self._opened.lock is not None:
            self._opened.lock.tell("" if error is None else str(error))
        if error is not None:
            log_event("nothing_is_armed", level=logging.ERROR, reason=str(error))
        else:
            log_event("all_is_armed_again")

    def _known_error(self) -> StoreError | None:
        """Return what is known here, or by the process that serves."""
        if self._watching is None and (why := told(self._opened.path)):
            return StorageFullError() if why == StorageFullError.told else StoreError(why)
        return self._arm_error

    def _check_writable(self) -> None:
        """Raise StoreError where nothing can be written; in the writing thread."""
        if self._opened.guard is not None:
            self._opened.guard.check()
            self._opened.guard.renew()
        if not self._writer.has_room():
            raise StorageFullError

    async def _watch(self) -> None:
        """Say at once what keeps from writing, and write then what had to wait."""
        while True:
            await asyncio.sleep(self._policy.watch_s)
            try:
                if await self.arm_error() is None:
                    await self._write(self._ledger.held.unwritten())
            except Exception as error:  # without this task nothing that is held is written
                log_event("not_written_yet", level=logging.WARNING, reason=str(error))

    async def _write(self, some: Sequence[Held]) -> None:
        if some or self._ledger.held.attempts:
            await self._writer.run(
                lambda: self._ledger.write_held(some),
                frees=True,
                then=lambda: self._ledger.held.written(some),
            )

    @override
    async def read(self, kind: str, key: str) -> Record | None:
        try:
            return await self._look_up(kind, key)
        except StoreError:
            self._failed = lambda: self._look_up(kind, key)
            raise

    async def _look_up(self, kind: str, key: str) -> Record | None:
        # By primary key it takes microseconds, less than a change of threads.
        return guarded(lambda: rows.read(self._opened.looking_up, kind, key), self._known_error)

    @override
    async def write(self, kind: str, key: str, record: Record | None) -> None:
        text = None if record is None else json.dumps(record)
        await self._writer.run(
            lambda: rows.write(self._writing, kind, key, text), frees=kind != PROBE
        )

    @override
    async def swap(self, kind: str, key: str, old: Record | None, record: Record | None) -> bool:
        text = None if record is None else json.dumps(record)
        return await self._writer.run(
            lambda: rows.swap(self._writing, kind, key, old, text), frees=kind != PROBE
        )

    @override
    async def scan(self, kind: str) -> dict[str, Record]:
        return guarded(lambda: rows.scan(self._opened.looking_up, kind), self._known_error)

    @override
    async def stop_accepting(self) -> None:
        """No other process delivers."""

    @override
    async def close(self) -> None:
        """Once more does nothing."""
        if self._closed:
            return
        self._closed = True
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)
            with contextlib.suppress(StoreError):  # after a stop each attempt counts
                await self._write(self._ledger.held.each())
        for reader in (self._reading, self._listing):
            await reader.close()
        self._opened.looking_up.close()
        await self._writer.close()
        if self._opened.guard is not None:
            self._opened.guard.close()
        if self._opened.lock is not None:
            self._opened.lock.release()


def _no_check() -> None:
    pass
