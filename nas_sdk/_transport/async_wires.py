"""`wires.py` for event loops."""
# ruff: noqa: ASYNC109 - the limits are parameters because httpcore's interface has them so

from __future__ import annotations

import asyncio
import ipaddress
import ssl
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

import httpcore

from .._typing import override
from .wires import Bounded, Outbox


class AsyncWire(Bounded, httpcore.AsyncNetworkBackend):
    """The same for the event loop that is running; `abort` closes at once, without waiting."""

    def __init__(self) -> None:
        self._stream: httpcore.AsyncNetworkStream | None = None

    @override
    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        limit = self.cap(timeout, httpcore.ConnectTimeout)
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # no asyncio: trio
            trio = httpcore.TrioBackend()
            self._stream = await trio.connect_tcp(host, port, limit, local_address, [])
            return _AsyncStream(self, self._stream)
        protocol = self._stream = _Protocol(loop)
        options: dict[str, Any] = {}
        if local_address is not None:
            options["local_addr"] = (local_address, 0)
        if isinstance(loop, asyncio.BaseEventLoop) and not _is_address(host):  # uvloop's is not
            options["happy_eyeballs_delay"] = 0.25
        try:
            async with asyncio.timeout(limit):
                await loop.create_connection(lambda: protocol, host, port, **options)
        except TimeoutError as error:
            raise httpcore.ConnectTimeout(str(error) or "timed out") from error
        except OSError as error:
            raise httpcore.ConnectError(str(error)) from error
        return _AsyncStream(self, protocol)

    def abort(self) -> None:
        """Close the socket, in whatever state it is, without waiting for anything."""
        if isinstance(self._stream, _Protocol):
            self._stream.abort()
        elif self._stream is not None:
            self._stream.get_extra_info("socket").close()


class _AsyncStream(httpcore.AsyncNetworkStream):
    def __init__(self, wire: AsyncWire, stream: httpcore.AsyncNetworkStream) -> None:
        self._wire = wire
        self._stream = stream
        self._outbox = Outbox()

    @override
    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        with suppress(httpcore.WriteError):  # whoever listens no more may have answered before
            await self._flush()
        return await self._stream.read(max_bytes, self._wire.cap(timeout, httpcore.ReadTimeout))

    @override
    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        if self._outbox.put(buffer, timeout):
            await self._flush()

    async def _flush(self) -> None:
        unsent, timeout = self._outbox.take()
        if unsent:
            await self._stream.write(unsent, self._wire.cap(timeout, httpcore.WriteTimeout))

    @override
    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.AsyncNetworkStream:
        await self._flush()
        limit = self._wire.cap(timeout, httpcore.ConnectTimeout)
        stream = await self._stream.start_tls(ssl_context, server_hostname, limit)
        return _AsyncStream(self._wire, stream)

    @override
    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)

    @override
    async def aclose(self) -> None:
        await self._stream.aclose()


class _Protocol(asyncio.Protocol, httpcore.AsyncNetworkStream):
    """A socket of an asyncio loop.

    Not by anyio, which loses the socket when a task is cancelled in the turn of the loop in
    which it is connected. The loop notices by itself that the server closed it.
    """

    BUFFER_MAX = 256 * 1024

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._ended = False
        self._error: Exception | None = None
        self._is_full = False
        self._waiter: asyncio.Future[None] | None = None

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # of a socket it is this one

    @override
    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if len(self._buffer) > self.BUFFER_MAX and self._transport is not None:
            self._transport.pause_reading()
        self._wake()

    @override
    def eof_received(self) -> bool:
        self._ended = True
        self._wake()
        return False

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._ended, self._error = True, exc
        self._wake()

    @override
    def pause_writing(self) -> None:
        self._is_full = True

    @override
    def resume_writing(self) -> None:
        self._is_full = False
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def _news(self, timeout: float | None, late: type[Exception]) -> None:
        self._waiter = self._loop.create_future()
        try:
            async with asyncio.timeout(timeout):
                await self._waiter
        except TimeoutError:
            raise late("timed out") from None
        finally:
            self._waiter = None

    @override
    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        while not (self._buffer or self._ended):
            await self._news(timeout, httpcore.ReadTimeout)
        if self._buffer:
            data = bytes(self._buffer[:max_bytes])
            del self._buffer[:max_bytes]
            if self._transport is not None and not self._transport.is_closing():
                self._transport.resume_reading()
            return data
        if self._error is not None:
            raise httpcore.ReadError(str(self._error)) from self._error
        return b""

    @override
    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        if self._transport is None or self._transport.is_closing():
            raise httpcore.WriteError("the connection is closed")
        self._transport.write(buffer)
        while self._is_full and not self._ended:
            await self._news(timeout, httpcore.WriteTimeout)

    @override
    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.AsyncNetworkStream:
        if self._transport is None:
            raise httpcore.ConnectError("the connection is closed")
        plain = self._transport
        try:
            async with asyncio.timeout(timeout):
                self._transport = await self._loop.start_tls(
                    plain, self, ssl_context, server_hostname=server_hostname
                )
        except TimeoutError as error:
            raise httpcore.ConnectTimeout("timed out") from error
        except OSError as error:  # those of ssl are
            raise httpcore.ConnectError(str(error)) from error
        finally:
            if self._transport is plain or self._transport is None:
                plain.abort()
        if self._transport is None:
            raise httpcore.ConnectError("the connection was closed while TLS began")
        return self

    @override
    def get_extra_info(self, info: str) -> Any:
        if info == "is_readable":  # while idle: closed, or sent what nobody asked for
            closing = self._transport is None or self._transport.is_closing()
            return closing or self._ended or bool(self._buffer)
        names = {"client_addr": "sockname", "server_addr": "peername"}
        if self._transport is None:
            return None
        return self._transport.get_extra_info(names.get(info, info))

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    @override
    async def aclose(self) -> None:
        self.abort()


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
