"""The bytes of one connection: connect, read and write, never beyond a deadline.

An HTTP library limits each read, so that a server which sends a byte now and then is
listened to for ever. Here every step gets what is left of the deadline at most.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterable
from typing import Any

import httpcore

from .._core.deadlines import SLICE, Deadline


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


class Wire(Bounded, httpcore.NetworkBackend):
    """Makes the socket of one connection."""

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """Called by httpcore."""
        limit = self.cap(timeout, httpcore.ConnectTimeout)
        backend = httpcore.SyncBackend()
        return _Stream(
            self, backend.connect_tcp(host, port, limit, local_address, socket_options or [])
        )


class _Stream(httpcore.NetworkStream):
    def __init__(self, wire: Wire, stream: httpcore.NetworkStream) -> None:
        self._wire = wire
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """In slices, as the deadline may be ended while this waits."""
        give_up = None if timeout is None else time.monotonic() + timeout
        while True:
            left = None if give_up is None else give_up - time.monotonic()
            if left is not None and left <= 0:
                raise httpcore.ReadTimeout("timed out")
            limit = self._wire.cap(left, httpcore.ReadTimeout)
            try:
                return self._stream.read(max_bytes, SLICE if limit is None else min(limit, SLICE))
            except httpcore.ReadTimeout:
                continue

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, self._wire.cap(timeout, httpcore.WriteTimeout))

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        limit = self._wire.cap(timeout, httpcore.ConnectTimeout)
        return _Stream(self._wire, self._stream.start_tls(ssl_context, server_hostname, limit))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)

    def close(self) -> None:
        self._stream.close()
