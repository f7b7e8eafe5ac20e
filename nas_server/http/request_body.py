"""What a request brings, read within a limit and a time."""

import asyncio
from typing import Final

from aiohttp import web

from nas_sdk.errors import InvalidRequestError

JSON: Final = "application/json"
FORM: Final = "application/x-www-form-urlencoded"


async def body(request: web.Request, kind: str, within_s: float) -> bytes:
    """Return a body that is of a ``kind``, within the request's limit, and there in time.

    Raises InvalidRequestError, and what aiohttp raises for one that is too large.
    """
    if request.content_type != kind:
        raise InvalidRequestError(f"Content-Type: is not {kind}", field="Content-Type")
    if "Content-Encoding" in request.headers:  # and a runner unpacks nothing before this
        raise InvalidRequestError(
            "Content-Encoding: send the body as it is", field="Content-Encoding"
        )
    if request.content.is_eof():  # it came with the head
        return await request.read()
    try:
        async with asyncio.timeout(within_s):
            return await request.read()
    except TimeoutError:
        raise InvalidRequestError("body: did not arrive in time", field="body") from None
