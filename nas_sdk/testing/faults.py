"""Faults a test can order from `nas_sdk.testing.InMemoryNas`."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import httpx

from nas_sdk._core import process

_CODES = {400: "invalid_request", 401: "invalid_token", 403: "invalid_client", 429: "slow_down"}

Drop = Literal["before", "after"]


class Fault(NamedTuple):
    """What goes wrong with one request; see `InMemoryNas.fail_next`."""

    status: int | None
    body: bytes | None
    headers: Mapping[str, str]
    delay: float
    drop: Drop | None
    applied: bool
    operation: str | None

    @property
    def is_only_late(self) -> bool:
        """Whether the answer itself is the right one."""
        return self.status in (None, 200) and self.body is None

    @property
    def breaks_contract(self) -> bool:
        """Whether the answer is one that the contract does not allow."""
        status = self.status or 200
        return self.body is not None or not (status in _CODES or 500 <= status < 600)

    @property
    def takes_effect(self) -> bool:
        """Whether NAS does what the request asks for."""
        return self.applied or self.is_only_late

    def response(self) -> httpx.Response:
        """The answer of this fault; the contract's own for a status it has."""
        status = self.status or 200
        if self.body is None:
            return error_response(status, "a fault that the test ordered", self.headers)
        return httpx.Response(status, content=self.body, headers=self.headers)


class Faults:
    """The faults that were ordered and have not happened yet."""

    def __init__(self) -> None:
        self._ordered: list[Fault] = []
        self.forked()
        process.register(self)

    def forked(self) -> None:
        """Whoever holds it in the parent does not in a child."""
        self._lock = threading.Lock()

    def order(self, fault: Fault, times: int) -> None:
        """Let the fault happen to the next `times` requests it fits."""
        with self._lock:
            self._ordered.extend([fault] * times)

    def take(self, operation: str | None) -> Fault | None:
        """The fault of this request, if one was ordered for it."""
        with self._lock:
            for position, fault in enumerate(self._ordered):
                if fault.operation in (None, operation):
                    return self._ordered.pop(position)
        return None

    def clear(self) -> None:
        """Forget what was ordered."""
        with self._lock:
            self._ordered.clear()

    def __len__(self) -> int:
        return len(self._ordered)


def error_response(
    status: int, description: str, headers: Mapping[str, str] | None = None
) -> httpx.Response:
    """An error as the contract has it, with the headers that belong to its status."""
    code = _CODES.get(status, "server_error" if status >= 500 else "invalid_request")
    usual = {401: {"WWW-Authenticate": "Bearer"}, 429: {"Retry-After": "1"}}.get(status, {})
    body = {"error": code, "error_description": description}
    return httpx.Response(status, json=body, headers={**usual, **(headers or {})})


def body_bytes(body: Any) -> bytes | None:
    """A body as bytes: texts and bytes as they are, None for none, JSON of anything else."""
    if body is None or isinstance(body, bytes):
        return body
    return body.encode() if isinstance(body, str) else json.dumps(body).encode()


def time_out(request: httpx.Request, delay: float) -> float | None:
    """The seconds after which the client of this request gives up, if that is before `delay`."""
    limit = request.extensions.get("timeout", {}).get("read")
    return limit if limit is not None and limit < delay else None
