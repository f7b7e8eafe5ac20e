"""See every exchange of every aiohttp client and server of this process."""

# A subprocess is tapped when its own import of aiohttp ends, and not all of it is there yet.
from __future__ import annotations

import warnings
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

import aiohttp

from tests.support.exchange import Exchange, Record

if TYPE_CHECKING:
    from aiohttp import web

SEND = "_request"
HANDLE = "_handle"


def install_client(record: Record) -> None:
    """Record what any `aiohttp.ClientSession` sends and gets from now on."""
    send: Callable[..., Awaitable[aiohttp.ClientResponse]] = getattr(aiohttp.ClientSession, SEND)

    async def seen_send(
        session: aiohttp.ClientSession, method: str, url: Any, **options: Any
    ) -> aiohttp.ClientResponse:
        response = await send(session, method, url, **options)
        try:
            body: bytes | None = await _read(response)
        except (aiohttp.ClientError, TimeoutError):
            body = None  # whoever reads it meets the same error
        record(
            Exchange(
                method=response.method,
                url=str(response.request_info.url),
                request_headers=_lower(response.request_info.headers),
                request_body=_sent(session, options),
                status=response.status,
                response_headers=_lower(response.headers),
                response_body=body,
                seen_by="an aiohttp client",
            )
        )
        return response

    setattr(aiohttp.ClientSession, SEND, seen_send)


async def _read(response: aiohttp.ClientResponse) -> bytes:
    """The body, left where it was for whoever reads the stream."""
    body = await response.read()
    if body:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            response.content.unread_data(body)
    return body


def install_server(record: Record) -> None:
    """Record what any `aiohttp.web.Application` is asked and answers from now on."""
    from aiohttp import web

    handle: Callable[..., Awaitable[web.StreamResponse]]
    handle = getattr(web.Application, HANDLE)

    async def seen_handle(application: web.Application, request: web.Request) -> web.StreamResponse:
        try:
            response = await handle(application, request)
        except web.HTTPException as answer:
            record(_served(request, answer))
            raise
        record(_served(request, response))
        return response

    setattr(web.Application, HANDLE, seen_handle)


def _served(request: web.Request, response: web.StreamResponse) -> Exchange:
    from aiohttp import web

    answer = response.body if isinstance(response, web.Response) else None
    empty = isinstance(response, web.Response) and answer is None
    return Exchange(
        method=request.method,
        url=str(request.url),
        request_headers=_lower(request.headers),
        # What the handler did not read is not known, and is not ours to read.
        request_body=request._read_bytes if request.body_exists else b"",
        status=response.status,
        response_headers=_lower(response.headers),
        response_body=answer if isinstance(answer, bytes) else b"" if empty else None,
        seen_by="an aiohttp server",
    )


def _sent(session: aiohttp.ClientSession, options: Mapping[str, Any]) -> bytes | None:
    if (document := options.get("json")) is not None:
        return session.json_serialize(document).encode()
    data = options.get("data", b"")
    return data.encode() if isinstance(data, str) else data if isinstance(data, bytes) else None


def _lower(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}
