"""One call on its way: what to send next, what an answer means, when to stop. No I/O.

Both clients drive an `CallState` in the same few lines; everything that could differ
between them is decided here.
"""

from __future__ import annotations

import logging
import random
from typing import Generic, TypeVar

import httpx

from ..errors import (
    ContractError,
    NasConnectionError,
    NasError,
    NasTimeoutError,
    ResponseError,
    StatusError,
    UnauthorizedError,
)
from .config import ClientSettings
from .events import LAST_RESPONSE, LOGGER, RequestEvent, ResponseEvent, RetryEvent
from .operations import MAX_BODY, Call, decode, quotable
from .retry import next_wait, parse_retry_after
from .tokens import Token

T = TypeVar("T")
NO_ANSWER = (httpx.HTTPError, httpx.InvalidURL, UnicodeError)
"""What sending can raise. The last two come of headers that httpx cannot digest, such as a
redirect with a cookie in an unknown encoding."""

_HIDDEN = b"[token]"
# A shorter one is no real token, and to hide it would blot out words.
_TOKEN_MIN = 8
# They describe the body as it came, and the copy holds it decoded.
_OF_THE_WIRE = frozenset({b"content-encoding", b"content-length", b"transfer-encoding"})


class CallState(Generic[T]):
    """The state of one call. Driven as `request`, then `failed` or `begin`, `feed`, `ended`.

    `failed` and `ended` return the seconds to wait before the next `request`, or None when
    `result` is there; they raise the call's error when it is over without one.
    """

    result: T

    def __init__(self, call: Call[T], settings: ClientSettings, until: float | None = None) -> None:
        """`until`, on the monotonic clock, replaces the deadline of the settings."""
        self._call = call
        self._settings = settings
        self._started = settings.clock.monotonic()
        self._until = until
        if until is None and settings.options.deadline is not None:
            self._until = self._started + settings.options.deadline
        self._attempts = 0
        self._token: Token | None = None
        self._last: NasError | None = None
        self.refused: Token | None = None

    def request(self, token: Token) -> httpx.Request:
        """The next request to send. Raises when there is no sense in sending one."""
        left = self._left()
        if isinstance(self._last, UnauthorizedError) and self._is_old(token):
            raise self.over(self._last)
        if left is not None and left <= 0:
            raise self.over(self._last or self._late())
        self._token = token
        self._attempts += 1
        call, site = self._call, self._settings.endpoint
        hook = self._settings.hooks.on_request
        if hook is not None:
            hook(RequestEvent(call.name, call.method, call.path, self._attempts))
        headers = [*site.headers, (b"Authorization", b"Bearer " + token.value.encode("ascii"))]
        headers += [(name.encode(), value.encode()) for name, value in call.headers.items()]
        timeouts = self._settings.options.timeouts(left)
        return httpx.Request(
            call.method,
            site.url(call.path),
            headers=headers,
            content=call.body,
            extensions={"timeout": timeouts},
        )

    def begin(self, response: httpx.Response) -> None:
        """The head of an answer is there; its body follows by `feed`."""
        self._response = response
        self._chunks: list[bytes] = []
        self._size = 0
        self._unreadable = ""

    def feed(self, chunk: bytes) -> bool:
        """Take a piece of the decoded body; False when there is no sense in reading on."""
        self._chunks.append(chunk)
        self._size += len(chunk)
        if self._size > MAX_BODY:
            self._unreadable = f"it is longer than {MAX_BODY} bytes"
            return False
        left = self._left()
        if left is not None and left <= 0:
            raise httpx.ReadTimeout("the answer was still coming in")
        return True

    def ended(self) -> float | None:
        """The body of the answer is complete."""
        body = b"" if self._unreadable else b"".join(self._chunks)
        status = self._response.status_code
        self._report_response()
        try:
            if self._unreadable and status == 200:
                raise ContractError(
                    f"{self._call.name}: the answer cannot be read: {self._unreadable}", status=200
                )
            self.result = decode(self._call, status, body if status == 200 else self._hide(body))
        except ResponseError as error:
            return self._next(self._described(error, body))
        self._log(str(status), _request_id(self._response))
        return None

    def failed(self, error: Exception) -> float | None:
        """The request had no answer, or the answer broke off: one of `NO_ANSWER`."""
        if isinstance(error, httpx.DecodingError):
            self._unreadable = "its content encoding is broken"
            return self.ended()
        kind = NasConnectionError
        if isinstance(error, httpx.TimeoutException):
            kind = NasTimeoutError
        detail = quotable(self._without_token(str(error))) or "no details"
        host = self._settings.endpoint.base_url.netloc.decode("ascii")
        ours = kind(f"{self._call.name}: no answer of {host}: {type(error).__name__}: {detail}")
        ours.__cause__ = error
        return self._next(ours)

    def over(self, error: NasError) -> NasError:
        """The same error, with what the call has cost; to be raised."""
        error.attempts = self._attempts
        error.elapsed = self._elapsed()
        self._log(type(error).__name__, error.request_id)
        return error

    def _next(self, error: NasError) -> float:
        """Decide on another attempt after `error`; raises it when there is none."""
        if isinstance(error, UnauthorizedError) and self.refused is None:
            self._last, self.refused = error, self._token
            return 0.0
        extra = 0 if self.refused is None else 1
        wait = None
        if self._attempts < self._settings.options.max_attempts + extra:
            wait = next_wait(error, self._attempts - extra, self._left(), random.random())  # noqa: S311
        if wait is None:
            raise self.over(error)
        self._last = error
        self._report_retry(error, wait)
        return wait

    def _described(self, error: ResponseError, body: bytes) -> ResponseError:
        """Add what the head of the answer says."""
        error.request_id = _request_id(self._response)
        error.args = (self._without_token(error.message),)
        if isinstance(error, StatusError):
            now = self._settings.clock.time()
            error.retry_after = parse_retry_after(self._response.headers, now)
            error.code = error.code and self._without_token(error.code)
            error.description = error.description and self._without_token(error.description)
        error.response = self._copy(body)
        return error

    def _copy(self, body: bytes) -> httpx.Response:
        kept = [
            (name, self._hide(value))
            for name, value in self._response.headers.raw
            if name.lower() not in _OF_THE_WIRE
        ]
        return httpx.Response(
            self._response.status_code,
            headers=kept,
            content=self._hide(body),
            request=httpx.Request(self._call.method, self._settings.endpoint.url(self._call.path)),
        )

    def _hide(self, what: bytes) -> bytes:
        """The same without the token, should the other side have sent it back."""
        secret = self._token.value.encode("ascii") if self._token else b""
        return what if len(secret) < _TOKEN_MIN else what.replace(secret, _HIDDEN)

    def _without_token(self, text: str) -> str:
        return self._hide(text.encode("utf-8", "surrogatepass")).decode("utf-8", "surrogatepass")

    def _is_old(self, token: Token) -> bool:
        return self.refused is not None and token.value == self.refused.value

    def _late(self) -> NasTimeoutError:
        return NasTimeoutError(f"{self._call.name}: the deadline passed before it could be sent")

    def _elapsed(self) -> float:
        return self._settings.clock.monotonic() - self._started

    def _left(self) -> float | None:
        return None if self._until is None else self._until - self._settings.clock.monotonic()

    def _report_response(self) -> None:
        call, response = self._call, self._response
        event = ResponseEvent(
            call.name,
            call.method,
            call.path,
            response.status_code,
            _request_id(response),
            self._attempts,
            self._elapsed(),
            quotable(response.headers.get("date")),
        )
        LAST_RESPONSE.set(event)
        hook = self._settings.hooks.on_response
        if hook is not None:
            hook(event)

    def _report_retry(self, error: NasError, wait: float) -> None:
        LOGGER.info("%s; again in %.1f s", error.message, wait)
        hook = self._settings.hooks.on_retry
        if hook is not None:
            hook(RetryEvent(self._call.name, self._attempts, error, wait))

    def _log(self, outcome: str, request_id: str | None = None) -> None:
        if LOGGER.isEnabledFor(logging.DEBUG):
            LOGGER.debug(
                "%s %s %s attempts=%d ms=%.1f request_id=%s",
                self._call.method,
                self._call.path,
                outcome,
                self._attempts,
                self._elapsed() * 1000,
                request_id or "-",
            )


def _request_id(response: httpx.Response) -> str | None:
    return quotable(response.headers.get("x-request-id"))
