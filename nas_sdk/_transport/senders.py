"""The one seam to the HTTP library: our own transports, or a client of the caller's.

Our own transports are driven directly: a client does cookies, redirects, authentication and
events, which are not used here and cost more than the request. A client that was passed in
may be httpx's, or that of a library with the same interface, such as httpx2.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import httpx

from .._core.deadlines import DEADLINE
from .._typing import override
from ..errors import ConfigurationError


class _Sender:
    """What all have: how to make a request, and what sending it can raise."""

    no_answer: tuple[type[Exception], ...] = (httpx.HTTPError, httpx.InvalidURL, UnicodeError)
    """The last two come of headers that a library cannot digest, such as a redirect with a
    cookie in an unknown encoding."""
    too_late: type[Exception] = httpx.TimeoutException

    def request(
        self,
        method: str,
        url: httpx.URL,
        headers: Sequence[tuple[bytes, bytes]],
        content: bytes | None,
        extensions: Mapping[str, Any],
    ) -> Any:
        """A request for `send`."""
        # Given a stream, httpx does not go through the headers again to add its own.
        body = content or b""
        own = [(b"Host", url.netloc)]
        if body or method != "GET":
            own.append((b"Content-Length", b"%d" % len(body)))
        request = httpx.Request(
            method,
            url,
            headers=[*own, *headers],
            stream=httpx.ByteStream(body),
            extensions=dict(extensions),
        )
        request.read()
        return request

    def encoding(self, response: Any) -> str:
        """The `Content-Encoding` of what `chunks` yields."""
        return response.headers.get("content-encoding", "")  # type: ignore[no-any-return]


class Direct(_Sender):
    """Sends by a transport of our own."""

    def __init__(self, transport: httpx.BaseTransport) -> None:
        if not callable(getattr(transport, "handle_request", None)):
            raise _not_a("transport", httpx.BaseTransport, transport)
        self._transport = transport
        self._closed = False

    def send(self, request: Any) -> Any:
        """The response, its body unread; whoever called must close it."""
        if self._closed:
            raise RuntimeError("the client is closed")
        return self._transport.handle_request(request)

    def chunks(self, response: Any) -> Iterator[bytes]:
        """The body as it comes over the wire."""
        return iter(response.stream)

    def close(self) -> None:
        """Close the connections."""
        self._closed = True
        self._transport.close()


class AsyncDirect(_Sender):
    """The same for an asynchronous transport."""

    def __init__(self, transport: httpx.AsyncBaseTransport) -> None:
        if not callable(getattr(transport, "handle_async_request", None)):
            raise _not_a("transport", httpx.AsyncBaseTransport, transport)
        self._transport = transport
        self._closed = False

    async def send(self, request: Any) -> Any:
        """The response, its body unread; whoever called must close it."""
        if self._closed:
            raise RuntimeError("the client is closed")
        return await self._transport.handle_async_request(request)

    def chunks(self, response: Any) -> AsyncGenerator[bytes, None]:
        """The body as it comes over the wire."""
        return aiter(response.stream)

    async def close(self) -> None:
        """Close the connections."""
        self._closed = True
        await self._transport.aclose()


class AsyncForeign(AsyncDirect):
    """Sends by a transport of the caller's, which knows of no deadline."""

    @override
    async def send(self, request: Any) -> Any:
        return await _by_deadline(super().send, request, self.too_late)


class _Passed(_Sender):
    """What both kinds of a caller's client have."""

    needed: type
    other: type

    def __init__(self, client: Any) -> None:
        can_send = callable(getattr(client, "send", None)) and hasattr(client, "headers")
        if not can_send or isinstance(client, self.other):
            raise _not_a("http_client", self.needed, client)
        self._client = client
        library: Any = sys.modules[_library(client)]
        self._make = library.Request
        self.no_answer = (library.HTTPError, library.InvalidURL, UnicodeError)
        self.too_late = library.TimeoutException

    @override
    def request(
        self,
        method: str,
        url: httpx.URL,
        headers: Sequence[tuple[bytes, bytes]],
        content: bytes | None,
        extensions: Mapping[str, Any],
    ) -> Any:
        return self._make(
            method, str(url), headers=headers, content=content, extensions=dict(extensions)
        )

    @override
    def encoding(self, response: Any) -> str:
        """Nothing where an event hook of the client has read the body, which is decoded then."""
        return "" if response.is_stream_consumed else super().encoding(response)


class Passed(_Passed):
    """Sends by a client of the caller's, which is not closed."""

    needed, other = httpx.Client, httpx.AsyncClient

    def send(self, request: Any) -> Any:
        """The response, its body unread; whoever called must close it."""
        return self._client.send(request, stream=True, auth=None, follow_redirects=False)

    def chunks(self, response: Any) -> Iterator[bytes]:
        """The body as it comes over the wire, or decoded where it was read before."""
        if response.is_stream_consumed:
            return iter([response.content])
        return response.iter_raw()  # type: ignore[no-any-return]

    def close(self) -> None:
        """Leave it open: whoever made it closes it."""


class AsyncPassed(_Passed):
    """The same for an asynchronous client."""

    needed, other = httpx.AsyncClient, httpx.Client

    async def send(self, request: Any) -> Any:
        """The response, its body unread; whoever called must close it."""
        send = partial(self._client.send, stream=True, auth=None, follow_redirects=False)
        return await _by_deadline(send, request, self.too_late)

    def chunks(self, response: Any) -> AsyncGenerator[bytes, None]:
        """The body as it comes over the wire, or decoded where it was read before."""
        return _read(response) if response.is_stream_consumed else response.aiter_raw()

    async def close(self) -> None:
        """Leave it open: whoever made it closes it."""


def _not_a(name: str, needed: type, given: object) -> ConfigurationError:
    return ConfigurationError(
        f"{name}: an httpx.{needed.__name__} is needed, not {type(given).__name__}"
    )


async def _by_deadline(
    send: Callable[[Any], Awaitable[Any]], request: Any, too_late: type[Exception]
) -> Any:
    """Send it, until its deadline also while the head of the answer arrives byte by byte."""
    import anyio

    with anyio.move_on_after(request.extensions[DEADLINE].left()):
        return await send(request)
    raise too_late("the head of the answer was still coming in")


async def _read(response: Any) -> AsyncGenerator[bytes, None]:
    yield response.content


def _library(client: Any) -> str:
    """The package a client comes from, by its first base that has a `Request` beside it."""
    for kind in type(client).__mro__:
        package = kind.__module__.partition(".")[0]
        if hasattr(sys.modules.get(package), "Request") and hasattr(
            sys.modules[package], "HTTPError"
        ):
            return package
    return "httpx"
