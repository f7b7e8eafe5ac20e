"""One call on its way: what to send next, what an answer means, when to stop. No I/O.

Both clients drive an `CallState` in the same few lines; everything that could differ
between them is decided here.
"""

from __future__ import annotations

import logging
import random
import ssl
from collections.abc import Awaitable, Mapping, Sequence
from inspect import isawaitable
from typing import Any, Generic, Protocol, TypeVar

import httpx

from ..errors import (
    CertificateError,
    ConfigurationError,
    ContractError,
    NasConnectionError,
    NasError,
    NasTimeoutError,
    ResponseError,
    StatusError,
    TokenError,
    UnauthorizedError,
)
from .bodies import Body
from .config import ClientSettings
from .deadlines import DEADLINE, Deadline
from .events import LOGGER, RequestEvent, ResponseEvent, RetryEvent
from .operations import Call, decode, quotable
from .retry import next_wait, parse_retry_after
from .tokens import Token

T = TypeVar("T")
_HIDDEN = b"[token]"
# A shorter one is no real token, and to hide it would blot out words.
_TOKEN_MIN = 8
# They describe the body as it came, and the copy holds it decoded.
_OF_THE_WIRE = frozenset({b"content-encoding", b"content-length", b"transfer-encoding"})


class Sender(Protocol):
    """What sends the requests; see `senders.py`."""

    no_answer: tuple[type[Exception], ...]
    too_late: type[Exception]

    def request(
        self,
        method: str,
        url: httpx.URL,
        headers: Sequence[tuple[bytes, bytes]],
        content: bytes | None,
        extensions: Mapping[str, Any],
    ) -> Any:
        """A request in its own terms."""

    def encoding(self, response: Any) -> str:
        """The `Content-Encoding` of the body as it is read."""


class CallState(Generic[T]):
    """The state of one call. Driven as `request`, then `failed` or `begin`, `feed`, `ended`.

    `failed` and `ended` return the seconds to wait before the next `request`, or None when
    `result` is there; they raise the call's error when it is over without one. What hooks
    returned and has to be awaited is in `awaitables`.
    """

    result: T
    last_response: ResponseEvent | None = None
    """What the last answer has cost; there when `result` is."""

    def __init__(
        self,
        call: Call[T],
        settings: ClientSettings,
        sender: Sender,
        deadline: Deadline | None = None,
    ) -> None:
        """`deadline` replaces that of the settings."""
        self._call = call
        self._settings = settings
        self._sender = sender
        self._started = settings.clock.monotonic()
        self.deadline = deadline or Deadline(settings.clock, settings.options.deadline)
        self.awaitables: list[Awaitable[object]] = []
        self._attempts = 0
        self._token: Token | None = None
        self._last: NasError | None = None
        self._broken_off = ""
        self.refused: Token | None = None

    def request(self, token: Token) -> Any:
        """The next request to send. Raises when there is no sense in sending one."""
        left = self.deadline.left()
        if isinstance(self._last, UnauthorizedError) and self._is_old(token):
            raise self.over(self._last)
        if left is not None and left <= 0:
            raise self.over(self._last or self._late())
        self._token = token
        self._attempts += 1
        call, site = self._call, self._settings.endpoint
        hook = self._settings.hooks.on_request
        if hook is not None:
            self._tell(hook(RequestEvent(call.name, call.method, call.path, self._attempts)))
        of_call = [(name.encode(), value.encode()) for name, value in call.headers.items()]
        named = {name.lower() for name, _ in of_call}
        headers = [header for header in site.headers if header[0].lower() not in named]
        headers.append((b"Authorization", b"Bearer " + token.value.encode("ascii")))
        headers += of_call
        return self._sender.request(
            call.method,
            site.url(call.path),
            headers,
            call.body,
            {"timeout": self._settings.options.timeouts(left), DEADLINE: self.deadline},
        )

    def begin(self, response: Any) -> None:
        """The head of an answer is there; its body follows by `feed`."""
        self._response = response
        self._body = Body(self._sender.encoding(response), self._settings.policy.body_max)

    def feed(self, chunk: bytes) -> bool:
        """Take a piece of the body as it came; False when there is no sense in reading on."""
        left = self.deadline.left()
        if left is not None and left <= 0:
            self._broken_off = "the answer was still coming in"
            return False
        return self._body.feed(chunk)

    def ended(self) -> float | None:
        """The body of the answer is complete."""
        if self._broken_off:
            return self._next(self._unanswered(NasTimeoutError, self._broken_off))
        body = self._body.content()
        unreadable = self._body.unreadable
        status = self._response.status_code
        self._report_response()
        try:
            if unreadable and status == 200:
                raise ContractError(
                    f"{self._call.name}: the answer cannot be read: {unreadable}", status=200
                )
            self.result = decode(self._call, status, body if status == 200 else self._hide(body))
        except ResponseError as error:
            return self._next(self._described(error, body))
        self._log(str(status), _request_id(self._response))
        return None

    def failed(self, error: Exception) -> float | None:
        """The request had no answer, or the answer broke off: one of the sender's `no_answer`."""
        kind: type[NasConnectionError] = NasConnectionError
        if isinstance(error, self._sender.too_late):
            kind = NasTimeoutError
        elif _is_distrust(error):
            kind = CertificateError
        detail = quotable(self._without_token(str(error))) or "no details"
        if getattr(error, "_request", None) is not None:  # that one holds the token
            error.request = self._bare_request()  # type: ignore[attr-defined]  # httpx's has it
        ours = self._unanswered(kind, f"{type(error).__name__}: {detail}")
        ours.__cause__ = error
        return self._next(ours)

    def _unanswered(self, kind: type[NasConnectionError], why: str) -> NasConnectionError:
        host = self._settings.endpoint.base_url.netloc.decode("ascii")
        return kind(f"{self._call.name}: no answer of {host}: {why}")

    def headers(self) -> httpx.Headers:
        """The headers of the last answer, without the token."""
        raw = self._response.headers.raw
        return httpx.Headers([(name, self._hide(value)) for name, value in raw])

    def over(self, error: NasError) -> NasError:
        """The same error, with what the call has cost; to be raised.

        Without another token for the one that NAS refused it says that, too.
        """
        if isinstance(error, TokenError) and isinstance(self._last, UnauthorizedError):
            error.args = (f"{self._last.message}; {error.message}",)
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
            wait = next_wait(
                error,
                self._attempts - extra,
                self.deadline.left(),
                random.random(),  # noqa: S311 - jitter
                self._settings.policy,
            )
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
            request=self._bare_request(),
        )

    def _bare_request(self) -> httpx.Request:
        """The request as an error may hold it: without headers and body."""
        return httpx.Request(self._call.method, self._settings.endpoint.url(self._call.path))

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

    def refuse_awaitables(self) -> None:
        """ConfigurationError where a hook has returned what a blocking client cannot await."""
        if self.awaitables:
            getattr(self.awaitables.pop(), "close", lambda: None)()
            raise ConfigurationError("a hook returned an awaitable: that is for AsyncNasClient")

    async def settle_awaitables(self) -> None:
        """Await what hooks have returned, in their order."""
        while self.awaitables:
            await self.awaitables.pop(0)

    def _tell(self, returned: object) -> None:
        """Keep what an asynchronous hook returned, for the client to await."""
        if isawaitable(returned):
            self.awaitables.append(returned)

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
        self.last_response = event
        hook = self._settings.hooks.on_response
        if hook is not None:
            self._tell(hook(event))

    def _report_retry(self, error: NasError, wait: float) -> None:
        LOGGER.info("%s; again in %.1f s", error.message, wait)
        hook = self._settings.hooks.on_retry
        if hook is not None:
            self._tell(hook(RetryEvent(self._call.name, self._attempts, error, wait)))

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


def _is_distrust(error: BaseException | None) -> bool:
    """Whether a certificate that is not trusted is behind an error."""
    while error is not None and not isinstance(error, ssl.SSLCertVerificationError):
        error = error.__cause__ or error.__context__
    return error is not None


def _request_id(response: Any) -> str | None:
    return quotable(response.headers.get("x-request-id"))
