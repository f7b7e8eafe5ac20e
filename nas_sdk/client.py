"""`NasClient`: the blocking shell over the sans-io core."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar, Unpack

import httpx

from ._core import operations
from ._core.base_client import BaseClient, with_headers
from ._core.call_state import CallState
from ._core.clock import Clock
from ._core.config import (
    DEFAULT_ATTEMPTS,
    DEFAULT_DEADLINE,
    DEFAULT_TIMEOUT,
    NOT_GIVEN,
    NotGiven,
    Timeout,
    Verify,
    checked_count,
    refuse_beside_client,
    token_from_environment,
    trust,
)
from ._core.deadlines import Deadline
from ._core.events import Hooks, RequestEvent, ResponseEvent, RetryEvent
from ._core.operations import Call
from ._core.tokens import Token, Tokens, TokenSource
from ._transport.proxies import proxy_for
from ._transport.senders import Direct, Passed
from .errors import NasError, TokenError

if TYPE_CHECKING:
    from ._core.bulk import Arm, BulkResult, Item, Progress
    from ._core.replies import RawOperations
    from ._generated.models import ArmedOneShot, ProvisionResult
    from ._generated.options import CancelOptions, ListOptions, ProvisionOptions

__all__ = ["NasClient"]

_T = TypeVar("_T")
_CONNECTIONS = 32
"""Connections of the pool, and so the width of `provision_many` and `cancel_many`."""


class NasClient(BaseClient):
    """Calls NAS for one agent. Thread-safe; make one and keep it, for it pools connections.

    Every method raises subclasses of `NasError` and nothing else for what NAS or the network
    does. Connection errors, timeouts, 408, 429 and 5xx are retried with backoff until
    `max_attempts` requests were sent or `deadline` seconds have passed, waits included.
    The time that the token source takes is its own affair, and so is that of a host name's
    resolution, which nothing can cut short.
    """

    def __init__(
        self,
        base_url: str | None = None,
        token: TokenSource | None = None,
        *,
        timeout: Timeout = DEFAULT_TIMEOUT,
        max_attempts: int = DEFAULT_ATTEMPTS,
        deadline: float | None = DEFAULT_DEADLINE,
        http_client: httpx.Client | None = None,
        transport: httpx.BaseTransport | None = None,
        proxy: str | httpx.Proxy | None = None,
        verify: Verify | None = None,
        max_connections: int | None = None,
        allow_http: bool = False,
        user_agent: str | None = None,
        default_headers: Mapping[str, str] | None = None,
        on_request: Callable[[RequestEvent], object] | None = None,
        on_response: Callable[[ResponseEvent], object] | None = None,
        on_retry: Callable[[RetryEvent], object] | None = None,
        clock: Clock | None = None,
    ) -> None:
        """`base_url` and `token` default to `NAS_BASE_URL` and `NAS_TOKEN`.

        timeout: seconds for a step of an attempt, or an `httpx.Timeout`; to connect 5, for a
            piece of the answer 15. Only `deadline` ends an answer that never ends.
        http_client: sends the requests instead of our own connections, and is not closed; its
            headers are sent, its redirect, auth and timeout settings are not used. One of
            httpx2 will do, too. It has a transport, a proxy and certificates of its own.
        transport: sends them, too, such as a test double.
        proxy: a URL; without one the environment decides, by `HTTPS_PROXY` and its kin.
        verify: whom to trust, a proxy included: an `ssl.SSLContext`, or a file of certificates.
        max_connections: at most so many requests at a time, and so the width of a batch; 32.
        allow_http: allow plain http to other hosts than this machine.
        user_agent: a product to name after our own.
        default_headers: sent with every request, such as a gateway's key.
        on_request, on_response, on_retry: called with each event.
        clock: time as this client sees it, for tests.

        Raises ConfigurationError for bad settings, TokenError for a malformed token.
        """
        hooks = Hooks(on_request, on_response, on_retry).refuse_async()
        self._set_up(
            base_url,
            timeout,
            max_attempts,
            deadline,
            allow_http,
            user_agent,
            default_headers,
            hooks,
            clock,
        )
        width = _CONNECTIONS if max_connections is None else max_connections
        self._width = checked_count("max_connections", width, most=1000)
        source = token_from_environment() if token is None else token
        self._tokens = Tokens(source, self._settings.clock)
        self._http: Direct | Passed
        if http_client is not None:
            refuse_beside_client(transport=transport, proxy=proxy, verify=verify)
            self._http = Passed(http_client)
            self._adopt(http_client.headers)
        elif transport is not None:
            self._http = Direct(transport)
        else:
            self._http = Direct(self._own_transport(proxy, verify))

    def _own_transport(
        self, proxy: str | httpx.Proxy | None, verify: Verify | None
    ) -> httpx.BaseTransport:
        from ._transport.dial import pool

        url = self._settings.endpoint.base_url
        through = proxy_for(url, proxy)
        return pool(url, self._width, trust(url, verify, through), through)

    def with_options(
        self,
        *,
        token: TokenSource | NotGiven = NOT_GIVEN,
        timeout: Timeout | NotGiven = NOT_GIVEN,
        max_attempts: int | NotGiven = NOT_GIVEN,
        deadline: float | NotGiven | None = NOT_GIVEN,
    ) -> Self:
        """A view of this client with other options, sharing its connections.

        token: of another agent; the views of many agents share one pool.

        Closing the view does nothing; closing the client it came from ends both.
        """
        view = self._view(timeout, max_attempts, deadline)
        if not isinstance(token, NotGiven):
            view._tokens = Tokens(token, self._settings.clock)
        return view

    @property
    def with_raw_response(self) -> RawOperations:
        """The operations, each returning a `Reply`: its result, status, headers and cost."""
        from ._core.replies import RawOperations

        return RawOperations(self._exchange)

    def provision(
        self,
        job_id: str,
        fire_at: str | datetime,
        agent_callback_url: str,
        *,
        dedup_key: str | None = None,
        extra_headers: Mapping[str, str] | None = None,
        **options: Unpack[ProvisionOptions],
    ) -> ProvisionResult:
        """Arm the job's one-shot at `fire_at`, in place of the one it has.

        fire_at: RFC 3339 with an offset, sent byte for byte, or an aware datetime.
        agent_callback_url: the agent's public base URL; NAS appends `/api/cron/fire`.
        dedup_key: filled in; one that is given must be `{job_id}:{fire_at}`.
        extra_headers: sent with this call, such as `traceparent`; they replace defaults.
        options: what else the contract lets a request say; nothing so far.

        Repeating the call changes nothing. Raises InvalidRequestError, before anything is
        sent, for what the contract does not allow.
        """
        call = operations.provision(job_id, fire_at, agent_callback_url, dedup_key, **options)
        return self._run(with_headers(call, extra_headers))

    def cancel(
        self,
        job_id: str,
        *,
        extra_headers: Mapping[str, str] | None = None,
        **options: Unpack[CancelOptions],
    ) -> None:
        """Cancel the job's one-shot. A job that has none is a success."""
        return self._run(with_headers(operations.cancel(job_id, **options), extra_headers))

    def list_armed(
        self, *, extra_headers: Mapping[str, str] | None = None, **options: Unpack[ListOptions]
    ) -> list[ArmedOneShot]:
        """Every one-shot of this agent, in no particular order.

        Items that break the contract are left out, with one warning in the log. Compare
        fire times with `parse_instant`: NAS may spell an instant in another way.
        """
        return self._run(with_headers(operations.list_armed(**options), extra_headers))

    def provision_many(
        self, arms: Iterable[Arm], *, on_progress: Progress | None = None
    ) -> list[BulkResult]:
        """Arm many, `max_connections` at a time: one outcome per item, in order; no item raises.

        The client's deadline is that of the whole batch: what was not done by then fails
        with NasTimeoutError. After an error that affects every item (TokenError,
        UnauthorizedError, IdentityRejectedError, or one whose `retry_after` is over a minute or
        past the deadline) the rest is not sent and gets the same one. Two items of the same job
        may be sent in any order.
        `on_progress(done, total)` is called in the calling thread.
        """
        from ._core.bulk import Batch, run_threads

        batch = Batch.of_arms(arms, self._settings)
        return run_threads(batch, self._one, self._width, on_progress)

    def cancel_many(
        self, job_ids: Iterable[str], *, on_progress: Progress | None = None
    ) -> list[BulkResult]:
        """Cancel many; otherwise as `provision_many`."""
        from ._core.bulk import Batch, run_threads

        batch = Batch.of_cancels(job_ids, self._settings)
        return run_threads(batch, self._one, self._width, on_progress)

    def close(self) -> None:
        """Close the connections, unless this is a view or the HTTP client was passed in."""
        if not self._is_view:
            self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _run(self, call: Call[_T]) -> _T:
        return (self._exchange(call)).result

    def _exchange(self, call: Call[_T], deadline: Deadline | None = None) -> CallState[_T]:
        state = CallState(call, self._settings, self._http, deadline)
        while True:
            token = self._token(state)
            try:
                wait = self._attempt(state, token)
            except self._http.no_answer as error:
                wait = state.failed(error)
            state.refuse_awaitables()
            if wait is None:
                return state
            if wait:
                self._sleep(wait, deadline)

    def _token(self, state: CallState[_T]) -> Token:
        try:
            return self._tokens.get(state.refused)
        except TokenError as error:
            state.over(error)
            raise

    def _attempt(self, state: CallState[_T], token: Token) -> float | None:
        request = state.request(token)
        state.refuse_awaitables()
        response = self._http.send(request)
        try:
            state.begin(response)
            for chunk in self._http.chunks(response):
                if not state.feed(chunk):
                    break
        finally:
            response.close()
        try:
            return state.ended()
        finally:
            self._last.set(state.last_response)

    def _sleep(self, seconds: float, deadline: Deadline | None) -> None:
        """Alone to the end, as a signal ends it; in a batch only while it is waited for."""
        if deadline is None:
            self._settings.clock.sleep(seconds)
        else:
            deadline.sleep(seconds)

    def _one(self, item: Item) -> None:
        try:
            state = self._exchange(item.call(), item.deadline)
        except NasError as error:
            item.failed(error)
        else:
            item.done(state.result, state.last_response)
