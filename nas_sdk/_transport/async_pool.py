"""The connection pool of the asynchronous client; see `pool.py`."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import anyio
import httpcore
import httpx

from .._core import process
from .._core.deadlines import DEADLINE
from .._core.loops import call_soon_threadsafe, running_loop
from .async_wires import AsyncWire
from .pool import SWEEP_SECONDS


class AsyncConnection(NamedTuple):
    """A connection, open or not, and the wire it is made of."""

    http: httpcore.AsyncConnectionInterface
    wire: AsyncWire


class _OfLoop:
    """What belongs to one event loop: its idle connections, and who may have one.

    An event loop tells of its end by closing the asynchronous generators that began in it.
    """

    def __init__(self, width: int) -> None:
        self.turn = anyio.Semaphore(width, fast_acquire=True)
        self.idle: list[AsyncConnection] = []
        self.next_sweep = 0.0
        self.is_over = False
        self._call_soon = call_soon_threadsafe()
        self._life = self._until_closed()
        _step(self._life.__anext__())

    async def _until_closed(self) -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            self.is_over = True
            self.close_idle()

    def close_idle(self) -> None:
        """Close what nobody uses."""
        while self.idle:
            self.idle.pop().wire.abort()

    def close_idle_soon(self) -> None:
        """The same from any thread: a loop's connections are closed in it alone."""
        with suppress(RuntimeError):  # that loop is closed
            self._call_soon(self.close_idle)

    def abandon(self) -> None:
        """Have nothing to do with that loop, which is the parent's of a fork."""
        self.idle = []  # not closed through the loop: the selector is the parent's, too
        _step(self._life.aclose())


class _AsyncConnections:
    """The pool, in terms of httpcore. Each event loop has connections of its own."""

    def __init__(self, width: int, connect: Callable[[], AsyncConnection], sweep: float) -> None:
        self._width, self._sweep_seconds = width, sweep
        self._connect = connect
        self._closed = False
        self._loops: WeakKeyDictionary[Any, _OfLoop] = WeakKeyDictionary()
        process.register(self)

    def forked(self) -> None:
        """Drop what is the parent's: no loop of its goes on here."""
        for of_loop in self._loops.values():
            of_loop.abandon()
        self._loops = WeakKeyDictionary()

    def here(self) -> _OfLoop:
        """What belongs to the event loop that is running."""
        loop = running_loop()
        found = self._loops.get(loop)
        if found is None:
            for other, of_loop in list(self._loops.items()):  # which keeps it alive
                if of_loop.is_over or getattr(other, "is_closed", bool)():
                    self._loops.pop(other, None)
            found = self._loops[loop] = _OfLoop(self._width)
        return found

    async def handle_async_request(self, request: httpcore.Request) -> httpcore.Response:
        here = self.here()
        await _take_turn(here.turn, request.extensions.get("timeout", {}).get("pool"))
        connection = None
        try:
            connection = self._take(here)
            connection.wire.deadline = request.extensions.get(DEADLINE)
            response = await connection.http.handle_async_request(request)
        except BaseException:
            self._end(here, connection, in_order=False)
            raise
        response.stream = _AsyncStream(
            response.stream, lambda in_order: self._end(here, connection, in_order)
        )
        return response

    def _take(self, here: _OfLoop) -> AsyncConnection:
        """The connection that was used last, or a new one."""
        while here.idle:
            connection = here.idle.pop()
            if not connection.http.has_expired():
                return connection
            connection.wire.abort()
        return self._connect()

    def _end(self, here: _OfLoop, connection: AsyncConnection | None, in_order: bool) -> None:
        """The one way back of a connection and a permit; nothing in it waits."""
        try:
            if connection is None:
                return
            connection.wire.deadline = None
            is_over = self._closed or here.is_over
            if in_order and not is_over and connection.http.is_idle():
                here.idle.append(connection)
                self._sweep(here)
            else:
                connection.wire.abort()
        finally:
            here.turn.release()

    def _sweep(self, here: _OfLoop) -> None:
        now = time.monotonic()
        if now < here.next_sweep:
            return
        here.next_sweep = now + self._sweep_seconds
        expired = [connection for connection in here.idle if connection.http.has_expired()]
        here.idle = [connection for connection in here.idle if connection not in expired]
        for connection in expired:
            connection.wire.abort()

    async def aclose(self) -> None:
        """Close what is idle now, and what is busy when its exchange has ended."""
        self._closed = True
        self.here().close_idle()
        for of_loop in list(self._loops.values()):
            of_loop.close_idle_soon()


def _step(awaitable: Awaitable[None]) -> None:
    """Run what never waits."""
    with suppress(StopIteration, StopAsyncIteration):
        awaitable.__await__().__next__()


async def _take_turn(turn: anyio.Semaphore, seconds: float | None) -> None:
    try:
        turn.acquire_nowait()
    except anyio.WouldBlock:
        with anyio.move_on_after(seconds):
            await turn.acquire()
            return
        raise httpcore.PoolTimeout("no free connection") from None


class AsyncConnectionPool(httpx.AsyncHTTPTransport):
    """`ConnectionPool` for an asynchronous client, which may be used from several loops."""

    def __init__(
        self,
        width: int,
        connect: Callable[[AsyncWire], httpcore.AsyncConnectionInterface],
        sweep: float = SWEEP_SECONDS,
    ) -> None:
        """`connect` makes a connection that opens over the wire it is given."""

        def make() -> AsyncConnection:
            wire = AsyncWire()
            return AsyncConnection(connect(wire), wire)

        self._connections = _AsyncConnections(width, make, sweep)
        pool: Any = self._connections
        self._pool = pool

    @property
    def _turn(self) -> anyio.Semaphore:
        return self._connections.here().turn

    @property
    def _free(self) -> range:
        """One number for each connection that may be taken: what a search for leaks counts."""
        return range(self._turn.value)


class _AsyncStream:
    """The body of a response; `end` is told, once, whether it was read to its end."""

    def __init__(self, stream: Any, end: Callable[[bool], None]) -> None:
        self._stream = stream
        self._chunks = aiter(stream)
        self._end: Callable[[bool], None] | None = end
        self._is_whole = False
        self._call_soon = call_soon_threadsafe()

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        try:
            chunk: bytes = await anext(self._chunks)
        except StopAsyncIteration:
            self._is_whole = True
            raise
        return chunk

    async def aclose(self) -> None:
        end, self._end = self._end, None
        if end is None:
            return
        in_order = False
        try:
            await self._chunks.aclose()
            await self._stream.aclose()
            in_order = self._is_whole
        finally:
            end(in_order)

    def __del__(self) -> None:
        """Whoever had it was cancelled before he could close it."""
        if self._end is not None:
            with suppress(RuntimeError):  # that loop is closed
                self._call_soon(self._end, False)
