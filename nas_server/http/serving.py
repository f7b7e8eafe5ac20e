"""What serves an application over HTTP, and answers what never gets to it.

Requests that nobody can read, and those with an unknown ``Expect``, are refused by aiohttp
before any middleware, in plain text.
"""

from aiohttp import web

from nas_sdk._typing import override
from nas_server.http import answers
from nas_server.policy import HTTP, HttpPolicy


class _Handler(web.RequestHandler):
    """Serves a connection."""

    @override
    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        super().handle_error(request, status, exc, message)  # logs, and raises if it is too late
        answer = answers.unreadable(status)
        answer.force_close()
        return answer

    @override
    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        if isinstance(resp, web.HTTPException):
            resp = answers.refused(resp)
        return await super().finish_response(request, resp, start_time)


class _Server(web.Server):
    @override
    def __call__(self) -> web.RequestHandler:
        return _Handler(self, loop=self._loop, **self._kwargs)


class _Runner(web.AppRunner):
    @override
    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        return _Server(made.request_handler, request_factory=made.request_factory, **made._kwargs)


def runner(app: web.Application, policy: HttpPolicy = HTTP) -> web.AppRunner:
    """Return what serves ``app``."""
    return _Runner(
        app,
        access_log=None,
        keepalive_timeout=policy.body_s,  # by then the next request has arrived, and not half of it
        shutdown_timeout=policy.close_s,
        auto_decompress=False,  # or a stranger's few bytes become many before anything is asked
    )
