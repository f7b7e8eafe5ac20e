"""How much room the operator's limits leave in a NATS cluster, some of it kept back.

Where nothing fits any more, the cluster delivers no alarm and keeps no lease: what is due would
not fire. So nothing is armed any more while there is still room for that.
"""

import asyncio
import logging
import math
from typing import Any, Final

from nas_server.logs import log_event
from nas_server.store.base import StorageFullError
from nas_server.store.jetstream.link import JetStreamClient

LOOK_S: Final = 1.0
KEPT_BACK: Final = 4 * 2**20
"""Bytes of each replica, for what becomes of the one-shots that are armed."""
LATE: Final = 3
"""So many looks before the last count as well: servers are slow to tell each other."""
OVERHEAD: Final = 256
"""What a message takes beside its content."""
SHARE: Final = 8
"""Of a limit no more than this part is kept back."""


class Room:
    """Looks at the limits of the account and of the streams."""

    def __init__(self, link: JetStreamClient) -> None:
        """Ask through ``link``."""
        self._link = link
        self._running: asyncio.Task[None] | None = None
        self._closing = False
        self._replicas = 1
        self._left = [math.inf]
        """Bytes that were left at each of the last looks, less what was armed here since."""
        self._looked = -math.inf
        self.is_full = False

    async def start(self) -> None:
        """Look now, and from time to time until `close`."""
        if not await self.look():
            log_event(
                "no_storage_limit",
                level=logging.WARNING,
                reason="the NATS account has no storage limit (max_file); a cluster whose servers "
                "are full stops, and nothing fires",
            )
        self._running = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Look no more."""
        self._closing = True  # a cancellation gets lost where a look fails at the same moment
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)

    async def _run(self) -> None:
        while not self._closing:
            await asyncio.sleep(LOOK_S)
            try:
                await self.look()
            except Exception as error:  # without this task, full were full for ever
                log_event("room_unknown", level=logging.WARNING, reason=str(error))

    async def arm_error(self) -> StorageFullError | None:
        """Tell whether nothing more can be armed, as of a moment ago.

        Whoever asks often must not push out the looks that count as well, nor burden the cluster.
        """
        if asyncio.get_running_loop().time() - self._looked >= LOOK_S:
            await self.look()
        return StorageFullError() if self.is_full else None

    async def look(self) -> bool:
        """See whether there is room; return whether there is any limit."""
        names = self._link.names
        account, *streams = await asyncio.gather(
            self._link.api("INFO", {}),
            *(self._link.api(f"STREAM.INFO.{name}", {}) for name in (names.state, names.alarms)),
        )
        self._replicas = max(each["config"]["num_replicas"] for each in streams)
        limits = [_of_account(account, self._replicas), *map(_of_stream, streams)]
        found = [most - used - min(kept, most // SHARE) for used, most, kept in limits if most > 0]
        self._left = [min(found, default=math.inf), *self._left[:LATE]]
        self._looked = asyncio.get_running_loop().time()
        self._set()
        return bool(found)

    def take(self, size: int) -> None:
        """Take room for something of so many bytes that is armed; StorageFullError."""
        if self.is_full:
            raise StorageFullError
        self._left = [left - (size + OVERHEAD) * self._replicas for left in self._left]
        self._set()

    def refused(self) -> None:
        """Note that the cluster refused to keep something for lack of room."""
        self._left[0] = min(self._left[0], 0)
        self._set()

    def _set(self) -> None:
        before, self.is_full = self.is_full, min(self._left) <= 0
        if self.is_full and not before:
            log_event("nothing_is_armed", level=logging.ERROR, reason=StorageFullError.told)
        elif before and not self.is_full:
            log_event("all_is_armed_again")


Limit = tuple[int, int, int]
"""Bytes that are used, may be used, and are to be kept back."""


def _of_account(account: dict[str, Any], replicas: int) -> Limit:
    """The limits of an account: of all streams, or (tiers) of those with so many replicas."""
    tier = account.get("tiers", {}).get(f"R{replicas}", account)
    return tier["storage"], tier["limits"]["max_storage"], replicas * KEPT_BACK


def _of_stream(stream: dict[str, Any]) -> Limit:
    return stream["state"]["bytes"], stream["config"]["max_bytes"], KEPT_BACK
