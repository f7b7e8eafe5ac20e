"""Error answers as the contract has them: OAuth-style JSON, whatever went wrong."""

import logging
from collections.abc import Sequence
from typing import Any, Final

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from nas_sdk._core.schemas import fitting
from nas_sdk.errors import InvalidRequestError
from nas_sdk.protocol.one_shot import StoredOneShot
from nas_server.logs import log_event
from nas_server.metrics import Metrics
from nas_server.store.base import StoreError, TooOftenError

DESCRIPTION_LIMIT: Final = 1_024


def _error(
    status: int, code: str, description: str, headers: dict[str, str] | None = None
) -> web.Response:
    body = {"error": code, "error_description": description[:DESCRIPTION_LIMIT]}
    return web.json_response(body, status=status, headers=headers)


class RefusedError(Exception):
    """Raised by a handler to answer with an error of the contract."""

    def __init__(
        self, status: int, code: str, description: str, headers: dict[str, str] | None = None
    ) -> None:
        """Answer with ``status`` and an error body of ``code`` and ``description``."""
        super().__init__(description)
        self.answer = (status, code, description, headers)


def armed_list(armed: Sequence[StoredOneShot]) -> dict[str, Any]:
    """Return the body that lists an agent's one-shots."""
    return {"armed": [_listed(one) for one in armed]}


def _listed(one: StoredOneShot) -> dict[str, Any]:
    entry = {"job_id": one.job_id, "fire_at": one.fire_at, "schedule_id": one.schedule_id}
    return {**entry, **fitting("ArmedOneShot", one.members)} if one.more else entry


def unauthorized(description: str, *, known: bool = False) -> RefusedError:
    """Return the refusal of a missing token, or (``known``) of one that is no good."""
    challenge = 'Bearer error="invalid_token"' if known else "Bearer"
    return RefusedError(401, "invalid_token", description, {"WWW-Authenticate": challenge})


def identity_rejected() -> RefusedError:
    """Return the refusal of a real token whose agent is not provisioned."""
    return RefusedError(403, "invalid_client", "this token belongs to no provisioned agent")


def slow_down(wait_s: int) -> RefusedError:
    """Return the refusal of a call by an agent that makes too many."""
    return RefusedError(429, "slow_down", "too many requests", {"Retry-After": str(wait_s)})


def too_many_armed(wait_s: int, most: int) -> RefusedError:
    """Return the refusal of one more one-shot than an agent may have."""
    told = f"this agent has {most} one-shots, as many as it may have; cancel some"
    return RefusedError(429, "slow_down", told, {"Retry-After": str(wait_s)})


def error_middleware(metrics: Metrics, retry_after_s: int) -> Middleware:
    """Return a middleware that lets nothing out but answers of the contract, and counts them.

    ``retry_after_s`` is what callers are told to wait while the store fails.
    """

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        response: web.StreamResponse
        try:
            response = await handler(request)
        except ConnectionError:
            raise  # the caller is gone; there is nobody to answer
        except Exception as error:
            response = _answer_to(error, request, retry_after_s)
        metrics.answered(request.match_info.route.name or "none", response.status)
        return response

    return middleware


def _answer_to(error: Exception, request: web.Request, retry_after_s: int) -> web.Response:
    match error:
        case RefusedError():
            return _error(*error.answer)
        case InvalidRequestError():
            return _error(400, "invalid_request", error.message)
        case web.HTTPException():
            return refused(error)
        case TooOftenError():
            return _error(429, "slow_down", error.told, {"Retry-After": str(error.wait_s)})
        case StoreError():
            log_event("store_failed", level=logging.ERROR, reason=str(error), path=request.path)
            headers = {"Retry-After": str(retry_after_s)}
            return _error(503, "temporarily_unavailable", error.told, headers)
        case web.RequestPayloadError():
            return _error(400, "invalid_request", "body: cannot be decoded")
        case _:
            log_event("request_failed", level=logging.ERROR, error=True, path=request.path)
            return _error(500, "server_error", "an internal error; it was logged")


def refused(error: web.HTTPException) -> web.Response:
    """Return the answer to what aiohttp refuses."""
    match error:
        case web.HTTPRequestEntityTooLarge():
            return _error(400, "invalid_request", "body: is too large")
        case web.HTTPExpectationFailed():
            return _error(400, "invalid_request", "Expect: is not 100-continue")
        case web.HTTPNotFound():
            return _error(404, "not_found", "there is nothing at this path")
        case web.HTTPMethodNotAllowed():
            allow = ", ".join(sorted(error.allowed_methods))
            description = f"this path takes {allow}"
            return _error(405, "method_not_allowed", description, {"Allow": allow})
        case web.HTTPException():
            return _error(error.status, "invalid_request", error.reason)


def unreadable(status: int) -> web.Response:
    """Return the answer to a request that is none, or whose handling failed."""
    if status < 500:
        return _error(status, "invalid_request", "the request cannot be read as HTTP")
    return _error(status, "server_error", "an internal error; it was logged")
