"""Connection pools that stay cheap when all their connections are busy.

httpx's own pool looks at every connection and every waiting request each time one of them
changes, and by the hundredth waiting request that is most of a call's cost. Here a pool is
a stack of transports with one connection each: the last one used is taken, so that few
calls need few connections, and who finds none waits for its turn.
"""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import TYPE_CHECKING

import httpx

if TYPE_CHECKING:
    import ssl

    import anyio

_ONE = httpx.Limits(max_connections=1, max_keepalive_connections=1)


class ConnectionPool(httpx.BaseTransport):
    """Up to `width` requests at a time, each on a connection of its own."""

    def __init__(self, width: int, context: ssl.SSLContext) -> None:
        self._connections = [httpx.HTTPTransport(verify=context, limits=_ONE) for _ in range(width)]
        self._free = self._connections.copy()
        self._turn = threading.Semaphore(width)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Called by httpx. The lane is taken until the response is closed."""
        if not self._turn.acquire(timeout=_patience(request)):
            raise httpx.PoolTimeout("no free connection", request=request)
        connection = self._free.pop()
        try:
            response = connection.handle_request(request)
        except BaseException:
            self._release(connection)
            raise
        assert isinstance(response.stream, httpx.SyncByteStream)
        response.stream = _Stream(response.stream, lambda: self._release(connection))
        return response

    def _release(self, connection: httpx.HTTPTransport) -> None:
        self._free.append(connection)
        self._turn.release()

    def close(self) -> None:
        """Close all connections."""
        for connection in self._connections:
            connection.close()


class _Stream(httpx.SyncByteStream):
    """Frees the lane when it is closed, which `httpx.Response` does exactly once."""

    def __init__(self, stream: httpx.SyncByteStream, release: Callable[[], None]) -> None:
        self._stream = stream
        self._release = release

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._stream)

    def close(self) -> None:
        try:
            self._stream.close()
        finally:
            self._release()


class AsyncConnectionPool(httpx.AsyncBaseTransport):
    """The same for an `httpx.AsyncClient`."""

    def __init__(self, width: int, context: ssl.SSLContext) -> None:
        self._connections = [
            httpx.AsyncHTTPTransport(verify=context, limits=_ONE) for _ in range(width)
        ]
        self._free = self._connections.copy()
        self._turn: anyio.Semaphore | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Called by httpx. The lane is taken until the response is closed."""
        await self._take_turn(request)
        connection = self._free.pop()
        try:
            response = await connection.handle_async_request(request)
        except BaseException:
            self._release(connection)
            raise
        assert isinstance(response.stream, httpx.AsyncByteStream)
        response.stream = _AsyncStream(response.stream, lambda: self._release(connection))
        return response

    async def _take_turn(self, request: httpx.Request) -> None:
        import anyio

        if self._turn is None:
            self._turn = anyio.Semaphore(len(self._connections), fast_acquire=True)
        try:
            self._turn.acquire_nowait()
        except anyio.WouldBlock:
            with anyio.move_on_after(_patience(request)) as waiting:
                await self._turn.acquire()
            if waiting.cancelled_caught:
                raise httpx.PoolTimeout("no free connection", request=request) from None

    def _release(self, connection: httpx.AsyncHTTPTransport) -> None:
        assert self._turn is not None
        self._free.append(connection)
        self._turn.release()

    async def aclose(self) -> None:
        """Close all connections."""
        for connection in self._connections:
            await connection.aclose()


class _AsyncStream(httpx.AsyncByteStream):
    """As `_Stream`."""

    def __init__(self, stream: httpx.AsyncByteStream, release: Callable[[], None]) -> None:
        self._stream = stream
        self._release = release

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._stream.__aiter__()

    async def aclose(self) -> None:
        try:
            await self._stream.aclose()
        finally:
            self._release()


def _patience(request: httpx.Request) -> float | None:
    """Seconds this request waits for a connection."""
    limit: float | None = request.extensions.get("timeout", {}).get("pool")
    return limit
