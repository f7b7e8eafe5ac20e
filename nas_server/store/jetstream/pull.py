"""A pull consumer's messages, asked for without end, whatever becomes of servers."""

import asyncio
import contextlib
import json
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from nas_server.logs import log_event
from nas_server.store.base import GoneError
from nas_server.store.jetstream.direct import status_of
from nas_server.store.jetstream.link import NATS_ERRORS, JetStreamClient
from nas_server.store.jetstream.setup import CONSUMER, consume

EXPIRES_S: Final = 30.0
HEARTBEAT_S: Final = 1.0
SILENCE_S: Final = 2.5 * HEARTBEAT_S
"""A consumer that is asked and says nothing for so long is gone."""
PAUSE_S: Final = 0.25

Deliver = Callable[[Msg], Awaitable[None]]

_HEARTBEAT: Final = "100"
_EXPIRED: Final = frozenset({"404", "408"})


class Pull:
    """Keeps a request for messages standing."""

    def __init__(
        self,
        link: JetStreamClient,
        room: Callable[[], int],
        deliver: Deliver,
        gone: Callable[[], object],
    ) -> None:
        """Give each message to ``deliver``; never ask for more than there is ``room``.

        ``gone`` is called when there will never be another one.
        """
        self._link = link
        self._room = room
        self._deliver = deliver
        self._gone = gone
        self._coming = 0
        self._closing = False
        self._heard = asyncio.Event()
        self._status: str | None = None
        self._asked = 0
        self._silent_at = 0.0
        self._reply = ""
        self._inbox: Subscription
        self._running: asyncio.Task[None]

    async def start(self) -> None:
        """Ask from now on until `close`."""
        inbox = self._link.client.new_inbox()
        self._inbox = await self._link.client.subscribe(f"{inbox}.*", cb=self._receive)
        self._running = asyncio.create_task(self._run(inbox))

    async def close(self) -> None:
        """Ask no more; what is on its way is still delivered."""
        self._closing = True  # a cancellation can get lost in nats-py, before Python 3.12
        self._running.cancel()
        await asyncio.gather(self._running, return_exceptions=True)
        with contextlib.suppress(*NATS_ERRORS):
            await self._inbox.drain()  # type: ignore[no-untyped-call]  # nats-py leaves it out

    def look(self) -> None:
        """Look again whether there is room."""
        self._heard.set()

    async def _receive(self, message: Msg) -> None:
        self._hear()
        status = status_of(message)
        if status is None:
            self._coming -= 1
            await self._deliver(message)
        elif message.subject != self._reply:
            return  # about a request that was given up
        elif status != _HEARTBEAT:
            self._status = status
            self._coming = 0
        self._heard.set()

    def _hear(self) -> None:
        self._silent_at = asyncio.get_running_loop().time() + SILENCE_S

    async def _run(self, inbox: str) -> None:
        while not self._closing:
            try:
                self._link.is_connected()
                await self._ask(inbox)
                await self._until_answered()
            except GoneError:
                self._gone()
                return
            except Exception as error:  # whatever it is: without this task no alarm comes
                log_event("alarms_away", level=logging.WARNING, reason=str(error))
                await asyncio.sleep(PAUSE_S)

    async def _ask(self, inbox: str) -> None:
        while (room := self._room()) <= 0:
            self._heard.clear()
            await self._heard.wait()
        self._coming, self._status = room, None
        self._asked += 1
        self._reply = f"{inbox}.{self._asked}"
        question = {
            "batch": room,
            "expires": int(EXPIRES_S * 1_000_000_000),
            "idle_heartbeat": int(HEARTBEAT_S * 1_000_000_000),
        }
        subject = f"$JS.API.CONSUMER.MSG.NEXT.{self._link.names.alarms}.{CONSUMER}"
        self._hear()
        await self._link.client.publish(subject, json.dumps(question).encode(), reply=self._reply)

    async def _until_answered(self) -> None:
        """Wait until all that was asked for came, or nothing will come any more."""
        with contextlib.suppress(TimeoutError):
            while self._coming > 0:
                self._heard.clear()
                async with asyncio.timeout_at(self._silent_at):
                    await self._heard.wait()
        if self._status is not None and self._status not in _EXPIRED:
            await asyncio.sleep(PAUSE_S)
            await consume(self._link)
