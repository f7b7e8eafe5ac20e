"""One thread that writes to SQLite, committing whatever has gathered as one group.

What must outlive a loss of power is synced to disk before it is answered. Leases need not:
one that is lost means a fire that is delivered again, so they do not wait for the disk.
"""

import asyncio
import contextlib
import queue
import sqlite3
import threading
from collections.abc import Callable
from typing import Any, Final, TypeVar

import attrs

from nas_server.store.base import StoreError

T = TypeVar("T")
GROUP: Final = 1_000


@attrs.define
class _Job:
    work: Callable[[], Any]
    lasting: bool
    answer: "asyncio.Future[Any]"
    result: Any = None
    error: BaseException | None = None


class Writer:
    """Runs pieces of work in transactions; each answer comes after its commit."""

    def __init__(
        self, connection: sqlite3.Connection, rolled_back: Callable[[], None] = lambda: None
    ) -> None:
        """Own ``connection`` from now on. Must be called in the event loop that will use it.

        ``rolled_back`` is told, in the writing thread, that a group was undone.
        """
        self._connection = connection
        self._rolled_back = rolled_back
        self._loop = asyncio.get_running_loop()
        self._closed = False
        self._queue: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="nas-store-writer", daemon=True)
        self._thread.start()

    async def run(self, work: Callable[[], T], *, lasting: bool = True) -> T:
        """Run ``work`` in the writing thread and return its result once it is committed.

        Without ``lasting`` it may be lost with the power, though not with the process.
        It may be run again after a rollback, so it must do nothing but read and write
        through the connection. Raises StoreError when SQLite fails.
        """
        if self._closed:
            raise StoreError("the store is closed")
        job = _Job(work, lasting, self._loop.create_future())
        self._queue.put(job)
        try:
            result: T = await job.answer
        except sqlite3.Error as error:
            raise StoreError(f"the store failed: {error}") from error
        return result

    async def close(self) -> None:
        """Finish what was asked for and close the connection."""
        self._closed = True
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join)
        self._connection.close()

    def _run(self) -> None:
        while group := self._next_group():
            self._do([job for job in group if not job.lasting], "NORMAL")
            self._do([job for job in group if job.lasting], "FULL")

    def _do(self, group: list[_Job], synchronous: str) -> None:
        if not group:
            return
        # Whatever fails, the thread goes on: without it no later call would be answered.
        try:
            self._commit(group, synchronous)
        except sqlite3.OperationalError as error:  # the file: each would wait for it as long
            for job in group:
                job.error = error
        except BaseException:  # one piece that fails must not fail its neighbours
            for job in group:
                self._commit_alone(job, synchronous)
        self._loop.call_soon_threadsafe(_answer, group)

    def _next_group(self) -> list[_Job]:
        """Wait for work and return what has gathered; nothing when the end was asked for."""
        group: list[_Job] = []
        while (job := self._queue.get()) is not None:
            group.append(job)
            if len(group) == GROUP or self._queue.empty():
                return group
        if group:
            self._queue.put(None)
        return group

    def _commit(self, group: list[_Job], synchronous: str) -> None:
        self._connection.execute(f"PRAGMA synchronous = {synchronous}")
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            for job in group:
                job.result = job.work()
            self._connection.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):  # SQLite may have rolled back itself
                self._connection.execute("ROLLBACK")
            self._rolled_back()
            raise

    def _commit_alone(self, job: _Job, synchronous: str) -> None:
        try:
            self._commit([job], synchronous)
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
