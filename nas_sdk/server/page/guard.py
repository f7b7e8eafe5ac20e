"""What every answer of the page carries, and from where a change may be asked for."""

from typing import Final
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler

HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def is_own(request: web.Request) -> bool:
    """Tell whether a page of this server asks, and not another that a browser has open.

    A browser says either what it is (``Sec-Fetch-Site``) or where the asking page is from.
    """
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site == "same-origin"
    origin = request.headers.get("Origin")
    return origin is not None and urlsplit(origin).netloc == request.host


@web.middleware
async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse changes that another site asks for; add what keeps a browser from harm."""
    if request.method not in ("GET", "HEAD") and not is_own(request):
        response: web.StreamResponse = web.json_response(
            {"error": "forbidden", "error_description": "only the page itself may ask for this"},
            status=403,
        )
    else:
        response = await handler(request)
    response.headers.update(HEADERS)
    response.headers.setdefault("Cache-Control", "no-store")
    return response
