"""Records that are asked for at the same time are read together.

A question to the leader costs this process and the cluster several times what a record does. So
where many are asked for in one turn of the event loop, the leader only says how new they have
to be, and any replica that is as new gives them all.
"""

import asyncio
import logging
from typing import Final

from nas_server.logs import log_event
from nas_server.store.base import StoreError
from nas_server.store.jetstream.direct import AWAY
from nas_server.store.jetstream.link import PAGE, Found, JetStreamClient

FEW: Final = 8
"""Fewer than this are asked for one by one."""

_Asked = list[tuple[str, "asyncio.Future[Found]"]]


class BatchedReads:
    """Reads through one link."""

    def __init__(self, link: JetStreamClient) -> None:
        """Ask through ``link``."""
        self._link = link
        self._asked: _Asked = []
        self._reading: set[asyncio.Task[None]] = set()

    async def get(self, subject: str) -> Found:
        """Return a record, 0 and nothing without one, as new as `JetStreamClient.get` does."""
        loop = asyncio.get_running_loop()
        if not self._asked:
            loop.call_soon(self._begin)
        answer: asyncio.Future[Found] = loop.create_future()
        self._asked.append((subject, answer))
        return await answer

    def _begin(self) -> None:
        asked, self._asked = self._asked, []
        for start in range(0, len(asked), PAGE):
            task = asyncio.create_task(self._read(asked[start : start + PAGE]))
            self._reading.add(task)
            task.add_done_callback(self._reading.discard)

    async def _read(self, asked: _Asked) -> None:
        if len(asked) >= FEW:
            # Whatever keeps them from being read together, each is asked for then, with patience.
            try:
                newest, _ = await self._link.get(self._link.names.subject(">"))
                found = await self._link.last(newest, sorted({subject for subject, _ in asked}))
                for subject, answer in asked:
                    if not answer.done():  # whoever asked was cancelled
                        answer.set_result(found.get(subject, (0, b"")))
                return
            except (StoreError, *AWAY):
                pass  # nothing new: the link tells of it
            except Exception:
                log_event("reads_not_batched", level=logging.WARNING, error=True)
        await asyncio.gather(*(self._read_one(subject, answer) for subject, answer in asked))

    async def _read_one(self, subject: str, answer: "asyncio.Future[Found]") -> None:
        try:
            found = await self._link.get(subject)
        except Exception as error:  # whatever it is, it is for whoever asked
            if not answer.done():
                answer.set_exception(error)
        else:
            if not answer.done():
                answer.set_result(found)
