"""`with_raw_response`: the operations, with what NAS answered besides the result."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import attrs

from . import operations
from .base_client import with_headers
from .call_state import CallState

if TYPE_CHECKING:
    import httpx

    from .._generated.models import ArmedOneShot, ProvisionResult

T = TypeVar("T")


@attrs.frozen
class Reply(Generic[T]):
    """A call that succeeded: what the operation returns, and the answer it is from.

    `attempts` requests were sent in `elapsed` seconds, waits included. `headers` are those of
    the last answer, of any case; they hold no token.
    """

    result: T
    status: int
    headers: httpx.Headers = attrs.field(repr=False)
    request_id: str | None
    attempts: int
    elapsed: float


def _reply(state: CallState[T]) -> Reply[T]:
    last = state.last_response
    assert last is not None
    return Reply(
        state.result,
        last.status,
        state.headers(),
        last.request_id,
        last.attempts,
        last.elapsed,
    )


class RawOperations:
    """The three operations of a `NasClient`, each returning a `Reply`; errors are the same."""

    def __init__(self, exchange: Callable[[Any], CallState[Any]]) -> None:
        self._exchange = exchange

    def provision(
        self,
        job_id: str,
        fire_at: str | datetime,
        agent_callback_url: str,
        *,
        dedup_key: str | None = None,
        extra_headers: Mapping[str, str] | None = None,
    ) -> Reply[ProvisionResult]:
        """See `NasClient.provision`."""
        call = operations.provision(job_id, fire_at, agent_callback_url, dedup_key)
        return _reply(self._exchange(with_headers(call, extra_headers)))

    def cancel(self, job_id: str, *, extra_headers: Mapping[str, str] | None = None) -> Reply[None]:
        """See `NasClient.cancel`."""
        return _reply(self._exchange(with_headers(operations.cancel(job_id), extra_headers)))

    def list_armed(
        self, *, extra_headers: Mapping[str, str] | None = None
    ) -> Reply[list[ArmedOneShot]]:
        """See `NasClient.list_armed`."""
        return _reply(self._exchange(with_headers(operations.list_armed(), extra_headers)))


class AsyncRawOperations:
    """The same of an `AsyncNasClient`."""

    def __init__(self, exchange: Callable[[Any], Awaitable[CallState[Any]]]) -> None:
        self._exchange = exchange

    async def provision(
        self,
        job_id: str,
        fire_at: str | datetime,
        agent_callback_url: str,
        *,
        dedup_key: str | None = None,
        extra_headers: Mapping[str, str] | None = None,
    ) -> Reply[ProvisionResult]:
        """See `AsyncNasClient.provision`."""
        call = operations.provision(job_id, fire_at, agent_callback_url, dedup_key)
        return _reply(await self._exchange(with_headers(call, extra_headers)))

    async def cancel(
        self, job_id: str, *, extra_headers: Mapping[str, str] | None = None
    ) -> Reply[None]:
        """See `AsyncNasClient.cancel`."""
        return _reply(await self._exchange(with_headers(operations.cancel(job_id), extra_headers)))

    async def list_armed(
        self, *, extra_headers: Mapping[str, str] | None = None
    ) -> Reply[list[ArmedOneShot]]:
        """See `AsyncNasClient.list_armed`."""
        return _reply(await self._exchange(with_headers(operations.list_armed(), extra_headers)))
