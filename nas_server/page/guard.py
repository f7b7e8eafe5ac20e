"""What every answer of the page carries, and from where a change may be asked for."""

from typing import Final

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
    return origin in (f"http://{request.host}", f"https://{request.host}")


@web.middleware
async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse changes that another site asks for."""
    if request.method in ("GET", "HEAD") or is_own(request):
        return await handler(request)
    return web.json_response(
        {"error": "forbidden", "error_description": "only the page itself may ask for this"},
        status=403,
    )


async def protect(request: web.Request, response: web.StreamResponse) -> None:
    """Add what keeps a browser from harm, to errors as well."""
    response.headers.update(HEADERS)
    response.headers.setdefault("Cache-Control", "no-store")
