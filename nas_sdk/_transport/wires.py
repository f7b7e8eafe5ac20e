"""The bytes of one connection: connect, read and write, never beyond a deadline.

An HTTP library limits each read, so that a server which sends a byte now and then is
listened to for ever. Here every step gets what is left of the deadline at most.
"""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, Final

import httpcore

from .._core.deadlines import SLICE, Deadline
from .._typing import override


class Bounded:
    """What both kinds of wire share."""

    deadline: Deadline | None = None
    """That of the request under way."""

    def cap(self, timeout: float | None, late: type[Exception]) -> float | None:
        """The time limit of one step; raises `late` when the deadline has passed."""
        left = None if self.deadline is None else self.deadline.left()
        if left is None:
            return timeout
        if left <= 0:
            raise late("the deadline has passed")
        return left if timeout is None else min(timeout, left)


class Outbox:
    """What is to be sent, gathered until an answer is read, so that one write carries it.

    httpcore writes the head and the body of a request one by one, and a write costs about as
    much as the rest of sending.
    """

    MOST: Final = 64 * 1024
    """From so many bytes on they are sent at once, as gathering saves nothing then."""

    def __init__(self) -> None:
        self._unsent = b""
        self._timeout: float | None = None

    def put(self, buffer: bytes, timeout: float | None) -> bool:
        """Add to it, `timeout` being that of the write; whether it is to be sent now."""
        self._unsent = self._unsent + buffer if self._unsent else buffer
        self._timeout = timeout
        return len(self._unsent) >= self.MOST

    def take(self) -> tuple[bytes, float | None]:
        """All of it, which is gone from here, and the time limit for sending it."""
        unsent, self._unsent = self._unsent, b""
        return unsent, self._timeout


class Wire(Bounded, httpcore.NetworkBackend):
    """Makes the socket of one connection."""

    @override
    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """Called by httpcore. The limit is that of all addresses of the host together.

        Left to itself the socket library gives each of them as long. Here each gets its share
        of what is left, so that one that does not answer leaves time for those after it.
        """
        connect, options = httpcore.SyncBackend().connect_tcp, socket_options or []
        addresses = _addresses(host, port)
        limit = self.cap(timeout, httpcore.ConnectTimeout)
        give_up = None if limit is None else time.monotonic() + limit
        while True:
            share = None if give_up is None else (give_up - time.monotonic()) / len(addresses)
            if share is not None and share <= 0:
                raise httpcore.ConnectTimeout("timed out")
            try:
                stream = connect(addresses.pop(0), port, share, local_address, options)
                return _Stream(self, stream)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                if not addresses:
                    raise


def _addresses(host: str, port: int) -> list[str]:
    """The numeric addresses of a host, in the order in which to try them."""
    # With the link that an address may be of, and without asking anybody.
    numeric = socket.NI_NUMERICHOST | socket.NI_NUMERICSERV
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        return [socket.getnameinfo(to, numeric)[0] for *_, to in found]
    except OSError as error:
        raise httpcore.ConnectError(str(error)) from error


class _Stream(httpcore.NetworkStream):
    def __init__(self, wire: Wire, stream: httpcore.NetworkStream) -> None:
        self._wire = wire
        self._stream = stream
        self._outbox = Outbox()

    @override
    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """In slices, as the deadline may be ended while this waits.

        They are counted, so that a wait ends also where a test has stopped the clock.
        """
        with suppress(httpcore.WriteError):  # whoever listens no more may have answered before
            self._flush()
        left = float("inf") if timeout is None else timeout
        while left > 0:
            limit = min(SLICE, self._wire.cap(left, httpcore.ReadTimeout) or left)
            try:
                return self._stream.read(max_bytes, limit)
            except httpcore.ReadTimeout:
                left -= limit
        raise httpcore.ReadTimeout("timed out")

    @override
    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        if self._outbox.put(buffer, timeout):
            self._flush()

    def _flush(self) -> None:
        unsent, timeout = self._outbox.take()
        if unsent:
            self._stream.write(unsent, self._wire.cap(timeout, httpcore.WriteTimeout))

    @override
    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        self._flush()
        limit = self._wire.cap(timeout, httpcore.ConnectTimeout)
        return _Stream(self._wire, self._stream.start_tls(ssl_context, server_hostname, limit))

    @override
    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)

    @override
    def close(self) -> None:
        self._stream.close()
