"""What a request brings, read within a limit and a time."""

import asyncio
from typing import Final

from aiohttp import web

from nas_sdk.errors import InvalidRequestError

TIMEOUT_S: Final = 30
JSON: Final = "application/json"
FORM: Final = "application/x-www-form-urlencoded"


async def body(request: web.Request, kind: str) -> bytes:
    """Return a body that is of a ``kind`` and within the request's limit.

    Raises InvalidRequestError, and what aiohttp raises for one that is too large.
    """
    if request.content_type != kind:
        raise InvalidRequestError(f"Content-Type: is not {kind}", field="Content-Type")
    try:
        async with asyncio.timeout(TIMEOUT_S):
            return await request.read()
    except TimeoutError:
        raise InvalidRequestError("body: did not arrive in time", field="body") from None
