"""Who may connect: as many as there is room for; others are told to come again, not kept waiting.

A connection whose first request does not arrive in time is ended; for those that follow, the
runner's keep-alive timeout does that.
"""

import asyncio
import json
import logging
import os
import socket
from collections.abc import Callable
from typing import Final, cast

from aiohttp import web
from aiohttp.typedefs import Handler

from nas_sdk._typing import override
from nas_server.logs import log_event
from nas_server.policy import HTTP, HttpPolicy

ACCEPTED_AT_ONCE: Final = 16
"""Each takes a descriptor before it is looked at."""
_BODY: Final = json.dumps(
    {
        "error": "temporarily_unavailable",
        "error_description": "too many connections; come again in a moment",
    }
)
_REFUSAL: Final = (
    "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nRetry-After: 1\r\n"
    f"Connection: close\r\nContent-Length: {len(_BODY)}\r\n\r\n{_BODY}"
).encode()


class Accepting:
    """Takes connections from a socket that listens.

    The servers of event loops do as well, but that of uvloop ends where descriptors do.
    """

    def __init__(
        self,
        listener: socket.socket,
        protocol: Callable[[], asyncio.BaseProtocol],
        again_s: float,
    ) -> None:
        """Take them from now on until `close`, each for a ``protocol`` of its own."""
        self._listener = listener
        self._protocol = protocol
        self._again_s = again_s
        self._loop = asyncio.get_running_loop()
        self._connecting: set[asyncio.Task[None]] = set()
        self._again: asyncio.TimerHandle | None = None
        listener.setblocking(False)
        self._listen()

    def close(self) -> None:
        """Listen no more."""
        if self._again is not None:
            self._again.cancel()
        self._loop.remove_reader(self._listener)
        self._listener.close()

    def _listen(self) -> None:
        self._loop.add_reader(self._listener, self._accept)

    def _accept(self) -> None:
        for _ in range(ACCEPTED_AT_ONCE):
            try:
                sock, _ = self._listener.accept()
            except (BlockingIOError, InterruptedError):
                return
            except ConnectionError:  # whoever connected has gone
                continue
            except OSError as error:
                log_event(
                    "not_accepted", level=logging.WARNING, reason=os.strerror(error.errno or 0)
                )
                self._loop.remove_reader(self._listener)
                self._again = self._loop.call_later(self._again_s, self._listen)
                return
            task = self._loop.create_task(self._connect(sock))
            self._connecting.add(task)
            task.add_done_callback(self._connecting.discard)

    async def _connect(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        protocol = self._protocol()
        try:
            await self._loop.connect_accepted_socket(lambda: protocol, sock)
        except OSError as error:  # likewise; its place must not stay taken
            sock.close()
            protocol.connection_lost(error)


class Gate:
    """Makes the protocol of each connection that is accepted."""

    def __init__(self, room: Callable[[], int], policy: HttpPolicy = HTTP) -> None:
        """Let in as many at a time as ``room`` says."""
        self.policy = policy
        self._room = room
        self._refused: set[_Refusal] = set()
        self._waiting: dict[asyncio.Protocol, asyncio.TimerHandle] = {}
        self.open: set[_Connection] = set()

    def listen(self, runner: web.AppRunner, listener: socket.socket) -> Accepting:
        """Have ``runner`` serve whoever connects to ``listener``, as far as there is room."""
        serve = runner.server
        assert serve is not None

        def protocol() -> asyncio.Protocol:
            if len(self.open) >= self._room():
                return _Refusal(self._refused, self.policy)
            connection = _Connection(serve(), self)
            self.open.add(connection)  # now: of a burst, many come before the first is made
            return connection

        return Accepting(listener, protocol, self.policy.again_s)

    def await_request(self, protocol: asyncio.Protocol, transport: asyncio.BaseTransport) -> None:
        """End a connection on which no request arrives in time."""
        loop = asyncio.get_running_loop()
        self._waiting[protocol] = loop.call_later(self.policy.request_s, transport.close)

    def arrived(self, protocol: object) -> None:
        """Note that a request has arrived, or will not any more."""
        if (timer := self._waiting.pop(protocol, None)) is not None:  # type: ignore[call-overload]  # any object may be asked for
            timer.cancel()

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Note that a request has arrived."""
        self.arrived(request.protocol)
        return await handler(request)


class _Connection(asyncio.Protocol):
    """Hands all on to what serves the connection."""

    def __init__(self, inner: asyncio.Protocol, gate: Gate) -> None:
        self._inner = inner
        self._gate = gate
        self._transport: asyncio.Transport | None = None
        self._look: asyncio.TimerHandle | None = None
        self.data_received = inner.data_received  # type: ignore[method-assign]  # no step more
        self.eof_received = inner.eof_received  # type: ignore[method-assign]  # likewise

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # A stream's is a Transport; that of uvloop is of no class that says so.
        self._transport = cast("asyncio.Transport", transport)
        self._gate.await_request(self._inner, transport)
        self._inner.connection_made(transport)

    @override
    def pause_writing(self) -> None:
        self._inner.pause_writing()
        self._look_again()

    @override
    def resume_writing(self) -> None:
        self._look_no_more()
        self._inner.resume_writing()

    def _look_again(self) -> None:
        """Hang up on a caller that does not take its answers: aiohttp would wait for ever."""
        transport, policy = self._transport, self._gate.policy
        assert transport is not None
        left = transport.get_write_buffer_size()

        def look() -> None:
            if left - transport.get_write_buffer_size() < policy.taken_bytes:
                transport.abort()
            else:
                self._look_again()

        self._look = asyncio.get_running_loop().call_later(policy.body_s, look)

    def _look_no_more(self) -> None:
        if self._look is not None:
            self._look.cancel()

    @override
    def connection_lost(self, error: Exception | None) -> None:
        self._look_no_more()
        self._gate.open.discard(self)
        self._gate.arrived(self._inner)
        self._inner.connection_lost(error)


class _Refusal(asyncio.Protocol):
    """Tells a caller to come again, and reads what it sends so that it can hear that."""

    def __init__(self, others: set["_Refusal"], policy: HttpPolicy) -> None:
        self._others = others
        self._policy = policy

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # A stream's is a Transport; that of uvloop is of no class that says so.
        accepted = cast("asyncio.Transport", transport)
        if len(self._others) >= self._policy.refusals:
            accepted.abort()
            return
        self._others.add(self)
        accepted.write(_REFUSAL)
        accepted.write_eof()
        asyncio.get_running_loop().call_later(self._policy.refusal_s, accepted.abort)

    @override
    def connection_lost(self, error: Exception | None) -> None:
        self._others.discard(self)
