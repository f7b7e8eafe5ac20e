"""The transport of the in-memory NAS: records requests, lets faults happen, answers."""

from __future__ import annotations

from collections.abc import Callable

import httpx

from nas_sdk._core.clock import Clock

from .._typing import override
from .faults import Fault, Faults, time_out
from .request_handler import operation_of

FAULT_MARK = "nas_sdk.fault"
"""Found in the `extensions` of an answer that breaks the contract because a test wanted it."""


class FaultyTransport(httpx.MockTransport):
    """Answers like `answer`, except where a fault was ordered. For sync and async clients."""

    def __init__(
        self,
        answer: Callable[[httpx.Request], httpx.Response],
        faults: Faults,
        requests: list[httpx.Request],
        clock: Clock,
    ) -> None:
        super().__init__(answer)
        self._answer = answer
        self._faults = faults
        self._requests = requests
        self._clock = clock

    @override
    def handle_request(self, request: httpx.Request) -> httpx.Response:
        request.read()
        fault = self._note(request)
        if fault is None:
            return self._answer(request)
        self._clock.sleep(_delay(request, fault))
        return self._faulty(request, fault)

    @override
    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await request.aread()
        fault = self._note(request)
        if fault is None:
            return self._answer(request)
        await self._clock.sleep_async(_delay(request, fault))
        return self._faulty(request, fault)

    def _note(self, request: httpx.Request) -> Fault | None:
        self._requests.append(request)
        return self._faults.take(operation_of(request))

    def _faulty(self, request: httpx.Request, fault: Fault) -> httpx.Response:
        if fault.drop == "before":
            raise httpx.ConnectError("a test dropped the connection", request=request)
        applied = self._answer(request) if fault.takes_effect else None
        if time_out(request, fault.delay) is not None:
            raise httpx.ReadTimeout("a test delayed the answer", request=request)
        if fault.drop == "after":
            raise httpx.ReadError("a test dropped the connection", request=request)
        if applied is not None and fault.is_only_late:
            return applied
        response = fault.response()
        if fault.breaks_contract:
            response.extensions[FAULT_MARK] = True
        return response


def _delay(request: httpx.Request, fault: Fault) -> float:
    limit = time_out(request, fault.delay)
    return fault.delay if limit is None else limit
