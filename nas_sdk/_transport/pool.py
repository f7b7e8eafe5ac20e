"""Connection pools whose every exit is known.

httpx's own pool looks at every connection and every waiting request each time one of them
changes, and by the hundredth waiting request that is most of a call's cost; a call that is
interrupted at the wrong step takes a connection with it for good. Here one rule decides: a
connection is used again only after an exchange that ended in order, and is closed after any
other. The exchange itself is httpcore's.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, Final, NamedTuple

import httpcore
import httpx

from .._core import process
from .._core.deadlines import DEADLINE
from .permits import Owner, Permits
from .wires import Wire

IDLE_SECONDS: Final = 30.0
"""How long a connection is kept that nobody uses."""
SWEEP_SECONDS: Final = 1.0
"""How often, at most, all idle connections are looked at, in seconds."""


class Connection(NamedTuple):
    """A connection, open or not, and the wire it is made of."""

    http: httpcore.ConnectionInterface
    wire: Wire


class _Lease(Owner):
    """One request's right to a connection, and that connection."""

    __slots__ = ("connection", "generation")

    def __init__(self, generation: int) -> None:
        super().__init__()
        self.generation = generation
        self.connection: Connection | None = None


# For threads as well as for event loops: with httpx's pool a call costs a quarter more CPU, and one
# of a batch of 1,000 half as much again; nor does that pool survive an interrupt at any step.
class _Connections:
    """The pool, in terms of httpcore. Safe for threads, signals and forks."""

    def __init__(self, width: int, connect: Callable[[], Connection], sweep: float) -> None:
        self.permits = Permits(width)
        self._connect = connect
        self._idle: deque[Connection] = deque()
        self._sweep_seconds, self._next_sweep = sweep, 0.0
        self._closed = False
        self._generation = 0
        process.register(self)

    def handle_request(self, request: httpcore.Request) -> httpcore.Response:
        lease = _Lease(self._generation)
        try:
            if not self.permits.enter(lease, request.extensions.get("timeout", {}).get("pool")):
                raise httpcore.PoolTimeout("no free connection")
            connection = lease.connection = self._take()
            connection.wire.deadline = request.extensions.get(DEADLINE)
            response = connection.http.handle_request(request)
        except BaseException:
            self._end(lease, in_order=False)
            raise
        response.stream = _Stream(response.stream, lambda in_order: self._end(lease, in_order))
        return response

    def _take(self) -> Connection:
        """The connection that was used last, or a new one."""
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                return self._connect()
            if not connection.http.has_expired():
                return connection
            connection.http.close()

    def _end(self, lease: _Lease, in_order: bool) -> None:
        """The one way back of a connection and a permit; again changes nothing."""
        try:
            connection, lease.connection = lease.connection, None
            if connection is None:
                return
            connection.wire.deadline = None
            is_ours = lease.generation == self._generation and not self._closed
            if in_order and is_ours and connection.http.is_idle():
                self._idle.append(connection)
                self._sweep()
            else:
                connection.http.close()
        finally:
            self.permits.leave(lease)

    def _sweep(self) -> None:
        """Let go of idle connections that the server closed, or that nobody used for long."""
        now = time.monotonic()
        if now < self._next_sweep:
            return
        self._next_sweep = now + self._sweep_seconds
        for connection in list(self._idle):
            if connection.http.has_expired():
                with suppress(ValueError):  # another call has taken it
                    self._idle.remove(connection)
                    connection.http.close()

    def forked(self) -> None:
        """Close this process's handles; the parent goes on using the connections."""
        owners = [owner for owner in self.permits.owners() if isinstance(owner, _Lease)]
        inherited = [*self._idle, *(owner.connection for owner in owners)]
        self._generation += 1
        self._idle = deque()
        self.permits.reset()
        for connection in inherited:
            if connection is not None:
                connection.http.close()

    def close(self) -> None:
        """Close what is idle now, and what is busy when its exchange has ended."""
        self._closed = True
        while self._idle:
            self._idle.pop().http.close()


class ConnectionPool(httpx.HTTPTransport):
    """A transport for up to `width` requests at a time, to one origin.

    It is httpx's with another pool inside, so that what instruments or replaces
    `httpx.HTTPTransport.handle_request` sees these requests, too.
    """

    def __init__(
        self,
        width: int,
        connect: Callable[[Wire], httpcore.ConnectionInterface],
        sweep: float = SWEEP_SECONDS,
    ) -> None:
        """`connect` makes a connection that opens over the wire it is given."""

        def make() -> Connection:
            wire = Wire()
            return Connection(connect(wire), wire)

        pool: Any = _Connections(width, make, sweep)
        self._pool = pool
        self._turn: Permits = pool.permits

    @property
    def _free(self) -> range:
        """One number for each connection that may be taken: what a search for leaks counts."""
        return range(self._turn.value)


class _Stream:
    """The body of a response; `end` is told whether it was read to its end."""

    def __init__(self, stream: Any, end: Callable[[bool], None]) -> None:
        self._stream = stream
        self._end = end
        self._is_whole = False

    def __iter__(self) -> Iterator[bytes]:
        yield from self._stream
        self._is_whole = True

    def close(self) -> None:
        in_order = False
        try:
            self._stream.close()
            in_order = self._is_whole
        finally:
            self._end(in_order)
