"""See every exchange of every client of httpx and of the SDK, whatever its transport."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from typing import Any

import httpx

from tests.support.exchange import Exchange, Record

SEND = "_send_single_request"
"""The one method that every request of an httpx client goes through, redirects included."""


def install(record: Record) -> None:
    """Record what any client of httpx, or of the SDK, sends and gets from now on.

    A body that is read as a stream is recorded when the stream ends or is closed.
    """
    _tap(httpx.Client, httpx.AsyncClient, SEND, record)
    with suppress(ImportError):  # not every program that uses httpx has the SDK
        from nas_sdk._transport.senders import AsyncDirect, Direct

        _tap(Direct, AsyncDirect, "send", record)


def _tap(kind: type, async_kind: type, name: str, record: Record) -> None:
    send: Callable[..., httpx.Response] = getattr(kind, name)
    send_async: Callable[..., Any] = getattr(async_kind, name)

    def seen_send(client: Any, request: httpx.Request) -> httpx.Response:
        try:
            response = send(client, request)
        except BaseException:
            record(_exchange(request))
            raise
        response.request = request
        if not _record_read(record, response):
            response.stream = _Tee(response, record)
        return response

    async def seen_send_async(client: Any, request: httpx.Request) -> httpx.Response:
        try:
            response: httpx.Response = await send_async(client, request)
        except BaseException:
            record(_exchange(request))
            raise
        response.request = request
        if not _record_read(record, response):
            response.stream = _AsyncTee(response, record)
        return response

    setattr(kind, name, seen_send)
    setattr(async_kind, name, seen_send_async)


def _record_read(record: Record, response: httpx.Response) -> bool:
    """Record a response whose body is there already. False when it is yet to come."""
    try:
        body = response.content
    except httpx.ResponseNotRead:
        return False
    record(_exchange(response.request, response, body))
    return True


class _Collected:
    """The body of one response as it passes; recorded once, when it ends."""

    def __init__(self, response: httpx.Response, record: Record) -> None:
        self._inner: Any = response.stream
        self._response = response
        self._record = record
        self._chunks: list[bytes] = []
        self._recorded = False

    def _finish(self, whole: bool) -> None:
        if self._recorded:
            return
        self._recorded = True
        body = _decoded(self._response, b"".join(self._chunks)) if whole else None
        self._record(_exchange(self._response.request, self._response, body))


class _Tee(_Collected, httpx.SyncByteStream):
    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._inner:
            self._chunks.append(chunk)
            yield chunk
        self._finish(whole=True)

    def close(self) -> None:
        self._inner.close()
        self._finish(whole=False)


class _AsyncTee(_Collected, httpx.AsyncByteStream):
    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._inner:
            self._chunks.append(chunk)
            yield chunk
        self._finish(whole=True)

    async def aclose(self) -> None:
        await self._inner.aclose()
        self._finish(whole=False)


def _decoded(response: httpx.Response, raw: bytes) -> bytes:
    """The body without its content encoding, or as it came when that is broken."""
    try:
        return httpx.Response(200, headers=response.headers, content=raw).content
    except httpx.DecodingError:
        return raw


def _exchange(
    request: httpx.Request, response: httpx.Response | None = None, body: bytes | None = b""
) -> Exchange:
    try:
        sent: bytes | None = request.content
    except httpx.RequestNotRead:
        sent = None
    return Exchange(
        method=request.method,
        url=str(request.url),
        request_headers=dict(request.headers),
        request_body=sent,
        status=None if response is None else response.status_code,
        response_headers={} if response is None else dict(response.headers),
        response_body=body,
        faulty=response is not None and "nas_sdk.fault" in response.extensions,
        seen_by="httpx",
    )
