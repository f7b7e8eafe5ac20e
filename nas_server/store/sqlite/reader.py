"""Reading a file of SQLite beside the thread that writes."""

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from nas_server.store.base import StoreError

T = TypeVar("T")


class Reader:
    """Reads through a connection, in a thread of its own."""

    def __init__(
        self, connection: sqlite3.Connection, name: str, known: Callable[[], StoreError | None]
    ) -> None:
        """Say what is ``known`` of the file, if anything, where it cannot be read."""
        self._connection = connection
        self._known = known
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=name)

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Return what ``work`` reads; StoreError."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(
            self._thread, lambda: guarded(lambda: work(self._connection), self._known)
        )

    async def close(self) -> None:
        """Finish what was asked for."""
        await asyncio.to_thread(self._thread.shutdown)
        self._connection.close()


def guarded(work: Callable[[], T], known: Callable[[], StoreError | None]) -> T:
    """Return what ``work`` reads; StoreError, that which is ``known`` of the file if any is."""
    try:
        return work()
    except sqlite3.Error as error:
        raise known() or StoreError(f"the store failed: {error}") from error
