"""The HTTP/1.1 client that fires go through: one POST, one answer, a bounded cost of both.

A client for everything believes what it is sent: one agent that answers with informational
heads without end kept a whole server busy. This one reads no more than `http_answer` takes,
and so little at a time that others have their turn.
"""

import asyncio
import ssl
import sys
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final, Self
from urllib.parse import quote, urlsplit

import aiohttp
import attrs

from nas_sdk._version import __version__
from nas_server.delivery.agent_connection import AgentConnection, Server
from nas_server.delivery.connecting import Sift, addresses, connect
from nas_server.delivery.http_answer import BadAnswerError
from nas_server.policy import DELIVERY, DeliveryPolicy

_PATH: Final = "/%:@!$&'()*+,;=~"


@attrs.frozen
class Target:
    """Where a URL leads."""

    tls: bool
    host: str
    port: int
    head: bytes
    """The first lines of every request there."""

    @property
    def server(self) -> Server:
        """What connections have in common that may stand in for each other."""
        return self.tls, self.host, self.port


@lru_cache(4_096)
def target(url: str) -> Target:
    """Return where ``url`` leads; ValueError when it names no host."""
    parts = urlsplit(url)
    tls, host = parts.scheme == "https", parts.hostname
    if not host:
        raise ValueError("the callback URL has no host")
    shown = f"[{host}]" if ":" in host else host
    if parts.port is not None:
        shown = f"{shown}:{parts.port}"
    head = (
        f"POST {quote(parts.path, safe=_PATH) or '/'} HTTP/1.1\r\nHost: {shown}\r\n"
        f"User-Agent: nas-server/{__version__}\r\nAccept: application/json\r\n"
    )
    return Target(tls, host, parts.port or (443 if tls else 80), head.encode("ascii"))


@attrs.frozen
class Answer:
    """The final status of an answer, its headers by names in lower case, a short body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class AgentClient:
    """Posts to agents. To be closed by whoever made it, within the event loop it serves."""

    def __init__(
        self,
        *,
        timeout_s: float,
        sift: Sift = list,
        most: Callable[[], int] = lambda: sys.maxsize,
        policy: DeliveryPolicy = DELIVERY,
    ) -> None:
        """Call what ``sift`` leaves of a host's addresses; an answer may take ``timeout_s``.

        No more connections are open than ``most`` says, if there are no more requests at a time.
        """
        self._policy = policy
        self._sift = sift
        self._timeout_s = timeout_s
        self._most = most
        self._open: set[AgentConnection] = set()
        self._idle: dict[Server, list[AgentConnection]] = {}
        self._resolver = aiohttp.DefaultResolver()
        self._context: ssl.SSLContext | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for connection in list(self._open):
            connection.abort()
        await self._resolver.close()

    async def post(self, url: str, headers: str, body: bytes) -> Answer:
        """Post ``body`` and return the answer, whatever its status; redirects are not followed.

        ``headers`` are more lines, each with its line's end. Raises TimeoutError, OSError,
        BadAnswerError, and ValueError for a URL that names no host.
        """
        place = target(url)
        lines = f"{headers}Content-Length: {len(body)}\r\n\r\n".encode("ascii")
        request = place.head + lines + body
        async with asyncio.timeout(self._timeout_s):
            connection = self._reused(place)
            if connection is not None:
                try:
                    return await self._exchange(place, connection, request)
                except BadAnswerError:
                    # It may have been closed for being idle, just when this request was sent.
                    if not connection.is_unanswered:
                        raise
            return await self._exchange(place, await self._connect(place), request)

    async def _exchange(self, place: Target, connection: AgentConnection, request: bytes) -> Answer:
        try:
            reader = await connection.exchange(request)
        except BaseException:
            connection.abort()
            raise
        if reader.reusable and connection.is_open:
            self._keep(place, connection)
        elif reader.over:
            connection.close()
        else:
            connection.abort()
        return Answer(reader.status, reader.headers, reader.body)

    def _keep(self, place: Target, connection: AgentConnection) -> None:
        self._idle.setdefault(place.server, []).append(connection)
        loop = asyncio.get_running_loop()
        connection.idle = loop.call_later(self._policy.idle_s, connection.close)

    def _reused(self, place: Target) -> AgentConnection | None:
        waiting = self._idle.get(place.server)
        while waiting:
            connection = waiting.pop()
            if connection.idle is not None:
                connection.idle.cancel()
            if connection.is_open:
                return connection
        return None

    def _forget(self, connection: AgentConnection) -> None:
        self._open.discard(connection)
        if connection.idle is not None:
            connection.idle.cancel()
        waiting = self._idle.get(connection.server, [])
        if connection in waiting:
            waiting.remove(connection)
        if not waiting:
            self._idle.pop(connection.server, None)

    async def _connect(self, place: Target) -> AgentConnection:
        if len(self._open) >= self._most():
            self._close_an_idle_one()
        policy = self._policy
        found = await addresses(place.host, place.port, self._resolver, self._sift, policy)
        sock = await connect(found, policy.next_address_s)
        more: dict[str, Any] = {}
        if place.tls:
            name = place.host.rstrip(".")
            more = {
                "ssl": self._tls(),
                "server_hostname": name,
                "ssl_shutdown_timeout": self._policy.close_s,
            }
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(
            lambda: AgentConnection(place.server, self._forget, self._policy.drain_s),
            sock=sock,
            **more,
        )
        self._open.add(connection)
        return connection

    def _tls(self) -> ssl.SSLContext:
        if self._context is None:
            self._context = ssl.create_default_context()
            self._context.set_alpn_protocols(["http/1.1"])
            self._context.options |= ssl.OP_NO_RENEGOTIATION
        return self._context

    def _close_an_idle_one(self) -> None:
        for waiting in self._idle.values():
            for connection in waiting:
                if connection.is_open:
                    connection.abort()
                    return
