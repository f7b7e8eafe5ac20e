"""A connection to an agent: one request at a time, and of its answer what `http_answer` takes."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final

from nas_sdk._typing import override
from nas_server.delivery.http_answer import AnswerReader, BadAnswerError

READ: Final = 16_384
"""Bytes read before other connections have their turn."""

Server = tuple[bool, str, int]
"""Whether TLS is spoken, host and port."""


class AgentConnection(asyncio.BufferedProtocol):
    """One connection; it carries one request at a time."""

    def __init__(
        self, server: Server, closed: Callable[["AgentConnection"], object], drain_s: float
    ) -> None:
        """Be a connection to ``server``; ``closed`` is called when it is one no more.

        Once the status is known, the rest of an answer is waited for up to ``drain_s``.
        """
        self._drain_s = drain_s
        self.server = server
        self._closed = closed
        self._buffer = memoryview(bytearray(READ))
        self._reader: AnswerReader | None = None
        self._answered: asyncio.Future[None]
        self._drained: asyncio.Future[None]
        self._transport: asyncio.Transport
        self.is_open = True
        self.idle: asyncio.TimerHandle | None = None

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # a stream's is a Transport

    @override
    def get_buffer(self, sizehint: int) -> memoryview:
        """Without the hint: this is all that one read may take."""
        return self._buffer

    @override
    def buffer_updated(self, nbytes: int) -> None:
        if self._reader is None or self._reader.over:
            if self.is_open:  # nobody asked; while it is being closed, TLS reads on, and may
                self.abort()
            return
        self._take(lambda reader: reader.feed(self._buffer[:nbytes]))

    @override
    def eof_received(self) -> None:
        self._ended()

    @override
    def connection_lost(self, error: Exception | None) -> None:
        self._ended()
        self._closed(self)

    def _ended(self) -> None:
        self.is_open = False
        if self._reader is not None and not self._reader.over:
            self._take(lambda reader: reader.end())

    def _take(self, act: Callable[[AnswerReader], None]) -> None:
        reader = self._reader
        assert reader is not None
        try:
            act(reader)
        except BadAnswerError as error:
            reader.over = True
            if not self._answered.done():
                self._answered.set_exception(error)
            self.abort()
        if reader.status and not self._answered.done():
            self._answered.set_result(None)
        if reader.over and not self._drained.done():
            self._drained.set_result(None)

    async def exchange(self, request: bytes) -> AnswerReader:
        """Send a request and return the answer, read as far as it is read at all."""
        loop = asyncio.get_running_loop()
        self._reader = reader = AnswerReader()
        self._answered, self._drained = loop.create_future(), loop.create_future()
        self._transport.write(request)
        await self._answered
        if not reader.over:
            # The status has decided: no failure matters here, nor a stop that waits no longer.
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait([self._drained], timeout=self._drain_s)
        return reader

    @property
    def is_unanswered(self) -> bool:
        """Whether not a byte of an answer came."""
        return self._reader is None or self._reader.is_empty

    def close(self) -> None:
        """End it in the proper way."""
        self.is_open = False
        self._transport.close()

    def abort(self) -> None:
        """End it at once, whatever is on its way."""
        self.is_open = False
        self._transport.abort()
