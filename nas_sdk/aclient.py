"""`AsyncNasClient`: the asynchronous shell over the sans-io core."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar, Unpack

import httpx

from ._core import operations
from ._core.base_client import BaseClient
from ._core.call_state import NO_ANSWER, CallState
from ._core.clock import Clock
from ._core.config import (
    DEFAULT_ATTEMPTS,
    DEFAULT_DEADLINE,
    DEFAULT_TIMEOUT,
    Timeout,
    limits,
    token_from_environment,
    trust,
)
from ._core.events import Hooks, RequestEvent, ResponseEvent, RetryEvent
from ._core.operations import Call
from ._core.tokens import AsyncTokens, AsyncTokenSource, Token
from ._transport.pool import AsyncConnectionPool
from .errors import NasError, TokenError

if TYPE_CHECKING:
    from ._core.bulk import Arm, BulkResult, Item, Progress
    from ._generated.models import ArmedOneShot, ProvisionResult
    from ._generated.options import CancelOptions, ListOptions, ProvisionOptions

__all__ = ["AsyncNasClient"]

_T = TypeVar("_T")
_CONNECTIONS = 16
"""Connections of the pool, and tasks of `provision_many` and `cancel_many`."""


class AsyncNasClient(BaseClient):
    """Calls NAS for one agent, from one event loop; make one and keep it, for it pools connections.

    Every method raises subclasses of `NasError` and nothing else for what NAS or the network
    does. Connection errors, timeouts, 408, 429 and 5xx are retried with backoff until
    `max_attempts` requests were sent or `deadline` seconds have passed, waits included;
    a body that drips in can outlast the deadline by one read timeout. The time that the
    token source takes is its own affair.
    """

    def __init__(
        self,
        base_url: str | None = None,
        token: AsyncTokenSource | None = None,
        *,
        timeout: Timeout = DEFAULT_TIMEOUT,
        max_attempts: int = DEFAULT_ATTEMPTS,
        deadline: float | None = DEFAULT_DEADLINE,
        http_client: httpx.AsyncClient | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        allow_http: bool = False,
        user_agent: str | None = None,
        on_request: Callable[[RequestEvent], object] | None = None,
        on_response: Callable[[ResponseEvent], object] | None = None,
        on_retry: Callable[[RetryEvent], object] | None = None,
        clock: Clock | None = None,
    ) -> None:
        """`base_url` and `token` default to `NAS_BASE_URL` and `NAS_TOKEN`.

        timeout: seconds per attempt, or an `httpx.Timeout`; connecting 5, reading 15.
        http_client: used instead of one of our own, and not closed; its headers are sent,
            its redirect, auth and timeout settings are not used.
        transport: for a client of our own, such as a test double or a proxy.
        allow_http: allow plain http to other hosts than this machine.
        user_agent: a product to name after our own.
        clock: time as this client sees it, for tests.

        Raises ConfigurationError for bad settings, TokenError for a malformed token.
        """
        hooks = Hooks(on_request, on_response, on_retry)
        self._set_up(
            base_url, timeout, max_attempts, deadline, allow_http, user_agent, hooks, clock
        )
        self._tokens = AsyncTokens(token_from_environment() if token is None else token)
        self._owned = http_client is None
        self._http = http_client or self._own_http_client(transport)
        if http_client is not None:
            self._adopt(http_client.headers)

    def _own_http_client(self, transport: httpx.AsyncBaseTransport | None) -> httpx.AsyncClient:
        site = self._settings.endpoint
        if transport is None and not site.is_proxied:
            transport = AsyncConnectionPool(_CONNECTIONS, trust(site.base_url))
        return httpx.AsyncClient(
            transport=transport, limits=limits(_CONNECTIONS), trust_env=site.trust_env
        )

    async def provision(
        self,
        job_id: str,
        fire_at: str | datetime,
        agent_callback_url: str,
        *,
        dedup_key: str | None = None,
        **options: Unpack[ProvisionOptions],
    ) -> ProvisionResult:
        """Arm the job's one-shot at `fire_at`, in place of the one it has.

        fire_at: RFC 3339 with an offset, sent byte for byte, or an aware datetime.
        agent_callback_url: the agent's public base URL; NAS appends `/api/cron/fire`.
        dedup_key: filled in; one that is given must be `{job_id}:{fire_at}`.

        Repeating the call changes nothing. Raises InvalidRequestError, before anything is
        sent, for what the contract does not allow.
        """
        call = operations.provision(job_id, fire_at, agent_callback_url, dedup_key, **options)
        return await self._run(call)

    async def cancel(self, job_id: str, **options: Unpack[CancelOptions]) -> None:
        """Cancel the job's one-shot. A job that has none is a success."""
        return await self._run(operations.cancel(job_id, **options))

    async def list_armed(self, **options: Unpack[ListOptions]) -> list[ArmedOneShot]:
        """Every one-shot of this agent, in no particular order.

        Items that break the contract are left out, with one warning in the log. Compare
        fire times with `parse_instant`: NAS may spell an instant in another way.
        """
        return await self._run(operations.list_armed(**options))

    async def provision_many(
        self, arms: Iterable[Arm], *, on_progress: Progress | None = None
    ) -> list[BulkResult]:
        """Arm many, 16 at a time: one outcome per item, in their order; no item raises.

        The client's deadline is that of the whole batch: what was not done by then fails
        with NasTimeoutError. After an error that no item can escape (TokenError,
        UnauthorizedError, IdentityRejectedError) the rest is not sent and gets the same one.
        Two items of the same job may be sent in any order.
        `on_progress(done, total)` is called as each is done.
        """
        from ._core.bulk import Batch, run_tasks

        batch = Batch.of_arms(arms, self._settings)
        return await run_tasks(batch, self._one, _CONNECTIONS, on_progress)

    async def cancel_many(
        self, job_ids: Iterable[str], *, on_progress: Progress | None = None
    ) -> list[BulkResult]:
        """Cancel many; otherwise as `provision_many`."""
        from ._core.bulk import Batch, run_tasks

        batch = Batch.of_cancels(job_ids, self._settings)
        return await run_tasks(batch, self._one, _CONNECTIONS, on_progress)

    async def aclose(self) -> None:
        """Close the connections, unless this is a view or the HTTP client was passed in."""
        if self._owned and not self._is_view:
            await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def _run(self, call: Call[_T], until: float | None = None) -> _T:
        state = CallState(call, self._settings, until)
        while True:
            token = await self._token(state)
            try:
                wait = await self._attempt(state, token)
            except NO_ANSWER as error:
                wait = state.failed(error)
            if wait is None:
                return state.result
            if wait:
                await self._settings.clock.sleep_async(wait)

    async def _token(self, state: CallState[_T]) -> Token:
        try:
            return await self._tokens.get(state.refused)
        except TokenError as error:
            state.over(error)
            raise

    async def _attempt(self, state: CallState[_T], token: Token) -> float | None:
        request = state.request(token)
        response = await self._http.send(request, stream=True, auth=None, follow_redirects=False)
        try:
            state.begin(response)
            async for chunk in response.aiter_bytes():
                if not state.feed(chunk):
                    break
        finally:
            await response.aclose()
        return state.ended()

    async def _one(self, item: Item) -> None:
        try:
            item.done(await self._run(item.call(), item.until))
        except NasError as error:
            item.failed(error)
