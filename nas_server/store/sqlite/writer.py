"""One thread that writes to SQLite, committing whatever has gathered as one group.

What is written is synced to disk before it is answered. When the storage is full, a reserve
is given up: what makes room can be written then, and nothing else until there is a reserve
again.
"""

import asyncio
import contextlib
import queue
import sqlite3
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Final, TypeVar

import attrs

from nas_server.policy import SQLITE
from nas_server.store.base import StorageFullError, StoreError
from nas_server.store.sqlite.reserve import Reserve

T = TypeVar("T")
GROUP: Final = 1_000
PAGE_SIZE: Final = 4_096
LOG_PAGES: Final = 1_000
"""How long the log of writes becomes before it is worked into the file."""
_GROWS: Final = "INSERT OR REPLACE INTO records VALUES ('probe', 'room', zeroblob(65536))"


def _nothing() -> None:
    pass


@attrs.define
class _Job:
    work: Callable[[], Any]
    answer: "asyncio.Future[Any]"
    writes: bool = True
    frees: bool = False
    then: Callable[[], Any] = _nothing
    result: Any = None
    error: BaseException | None = None


class Writer:
    """Runs pieces of work in its thread; each answer of one that writes comes after its commit."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        rolled_back: Callable[[], None] = _nothing,
        *,
        reserve: Reserve | None = None,
        check: Callable[[], None] = _nothing,
        full_s: float = SQLITE.full_s,
    ) -> None:
        """Own ``connection`` from now on. Must be called in the event loop that will use it.

        ``rolled_back`` is told, in the writing thread, that a group was undone. ``check``
        raises StoreError, before a group and before it is answered, where writes are lost.
        A full storage counts as full for ``full_s`` before it is looked at again.
        """
        self._connection = connection
        self._rolled_back = rolled_back
        self._reserve = reserve
        self._check = check
        self._full_s = full_s
        self._look_at = 0.0
        self.is_full = reserve is not None and not self._set_aside(reserve)
        self._loop = asyncio.get_running_loop()
        self._closed = False
        self._asked: list[_Job] = []
        self._queue: queue.SimpleQueue[list[_Job] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="nas-store-writer", daemon=True)
        self._thread.start()

    async def run(
        self, work: Callable[[], T], *, frees: bool = False, then: Callable[[], Any] = _nothing
    ) -> T:
        """Run ``work`` in the writing thread and return its result once it is committed.

        What ``frees`` room, or is needed for that, is done though the storage be full. ``work``
        may be run again after a rollback, so it must do nothing but read and write through the
        connection; ``then`` is run once, after the commit. Raises StoreError when SQLite fails,
        StorageFullError.
        """
        job = _Job(work, self._loop.create_future(), frees=frees, then=then)
        return await self._ask(job)  # type: ignore[no-any-return]  # a queue knows no types

    async def look(self, work: Callable[[], T]) -> T:
        """Run ``work``, which writes nothing, in the writing thread, once; StoreError."""
        job = _Job(work, self._loop.create_future(), writes=False)
        return await self._ask(job)  # type: ignore[no-any-return]  # as above

    async def _ask(self, job: _Job) -> Any:
        if self._closed:
            raise StoreError("the store is closed")
        if not self._asked:  # once for all that is asked for in this turn of the loop
            self._loop.call_soon(self._hand_over)
        self._asked.append(job)
        try:
            return await job.answer
        except sqlite3.Error as error:
            raise _in_words(error) from error

    def _hand_over(self) -> None:
        asked, self._asked = self._asked, []
        self._queue.put(asked)

    async def close(self) -> None:
        """Finish what was asked for and close the connection."""
        self._closed = True
        self._hand_over()
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join)
        self._connection.close()

    def _run(self) -> None:
        while (group := self._next_group()) is not None:
            # Whatever fails, the thread goes on: without it no later call would be answered.
            looking = [job for job in group if not job.writes]
            for job in looking:
                _attempt(job, partial(_set_result, job))
            self._answer(looking)
            writing = [job for job in group if job.writes]
            self._write(writing)
            self._answer(writing)

    def _answer(self, group: list[_Job]) -> None:
        if group:
            self._loop.call_soon_threadsafe(_answer, group)

    def _next_group(self) -> list[_Job] | None:
        """Wait for work and return what has gathered; None when the end was asked for."""
        group: list[_Job] = []
        while (asked := self._queue.get()) is not None:
            group += asked
            if len(group) >= GROUP or self._queue.empty():
                return group
        if not group:
            return None
        self._queue.put(None)
        return group

    def _write(self, group: list[_Job]) -> None:
        """Commit a group, as much of it as there is room for."""
        if self.is_full and not self._regain():
            group = self._without_what_grows(group)
        if not group:
            return
        try:
            self._commit(group)
        except (sqlite3.OperationalError, StoreError) as error:
            if isinstance(error, sqlite3.Error) and _is_full(error):
                self._make_room()
                self._write_in_turn(self._without_what_grows(group))
                return
            for job in group:  # the file: each would wait for it as long
                job.error = error
        except BaseException:  # one piece that fails must not fail its neighbours
            self._write_in_turn(group)

    def _write_in_turn(self, group: list[_Job]) -> None:
        for job in group:
            _attempt(job, partial(self._commit, [job]))

    def _commit(self, group: list[_Job]) -> None:
        self._check()
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            for job in group:
                _set_result(job)
            self._connection.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):  # SQLite may have rolled back itself
                self._connection.execute("ROLLBACK")
            self._rolled_back()
            raise
        self._check()
        for job in group:
            job.then()

    def _without_what_grows(self, group: list[_Job]) -> list[_Job]:
        """Refuse what needs room; return the rest."""
        for job in group:
            if not job.frees:
                job.error = StorageFullError()
        return [job for job in group if job.frees]

    def _make_room(self) -> None:
        self.is_full = True
        self._look_at = time.monotonic() + self._full_s
        if self._reserve is not None:
            self._reserve.give_up()
        # The log of writes may be what fills the disk; its place in the file is there already.
        with contextlib.suppress(sqlite3.Error):
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def _regain(self) -> bool:
        """Tell whether there is room again, with the reserve set aside."""
        if time.monotonic() < self._look_at:
            return False
        self._look_at = time.monotonic() + self._full_s
        if self._reserve is None or not self._set_aside(self._reserve):
            return False
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            self._connection.execute(_GROWS)
        except sqlite3.Error:
            return False
        finally:
            with contextlib.suppress(sqlite3.Error):
                self._connection.execute("ROLLBACK")
        self.is_full = False
        return True

    def _set_aside(self, reserve: Reserve) -> bool:
        size = reserve.set_aside()
        # What the log of writes holds has to fit into the reserve, to make room with.
        pages = max(8, min(LOG_PAGES, size // PAGE_SIZE // 2))
        self._connection.execute(f"PRAGMA wal_autocheckpoint = {pages}")
        return size > 0

    def has_room(self) -> bool:
        """Tell whether the storage takes more; to be asked in the writing thread."""
        return not self.is_full or self._regain()


def _is_full(error: sqlite3.Error) -> bool:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_FULL


def _in_words(error: sqlite3.Error) -> StoreError:
    if _is_full(error):
        return StorageFullError()
    return StoreError(f"the store failed: {error}")


def _set_result(job: _Job) -> None:
    job.result = job.work()


def _attempt(job: _Job, act: Callable[[], None]) -> None:
    try:
        act()
    except BaseException as error:
        job.error = error


def _answer(group: list[_Job]) -> None:
    for job in group:
        if job.answer.done():  # whoever asked was cancelled; the work is committed all the same
            continue
        if job.error is None:
            job.answer.set_result(job.result)
        else:
            job.answer.set_exception(job.error)
