"""What the in-memory NAS answers to a request: the contract, statement by statement."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import httpx

from nas_sdk._core import process, validation
from nas_sdk._core.clock import Clock
from nas_sdk._core.instants import format_instant, parse_instant
from nas_sdk._core.operations import parse_json
from nas_sdk._core.schemas import check_optional, fitting
from nas_sdk.errors import ContractError, InvalidRequestError
from nas_sdk.protocol.one_shot import StoredOneShot
from nas_sdk.protocol.table import OneShotTable

from .faults import error_response

OPERATIONS = {
    ("POST", "/api/agent-cron/provision"): "provision",
    ("POST", "/api/agent-cron/cancel"): "cancel",
    ("GET", "/api/agent-cron/list"): "list",
    ("GET", "/.well-known/jwks.json"): "jwks",
}


class RequestHandler:
    """The one-shots of all agents, and the answers to requests about them. Thread-safe."""

    def __init__(self, clock: Clock, jwks: Callable[[], Any], *, normalise: bool) -> None:
        self.tokens: dict[str, str | None] = {}
        self.table = OneShotTable()
        self._clock = clock
        self._jwks = jwks
        self._normalise = normalise
        self.forked()
        process.register(self)

    def forked(self) -> None:
        """Whoever holds it in the parent does not in a child."""
        self.lock = threading.RLock()

    def now(self) -> int:
        """Milliseconds since the epoch."""
        return int(self._clock.time() * 1000)

    def answer(self, request: httpx.Request) -> httpx.Response:
        """Let the request take effect and answer it."""
        operation = operation_of(request)
        if operation is None:
            return error_response(404, f"no operation at {request.method} {request.url.path}")
        if operation == "jwks":
            return httpx.Response(200, json=self._jwks())
        agent = self._agent(request)
        if isinstance(agent, httpx.Response):
            return agent
        try:
            with self.lock:
                return httpx.Response(200, json=self._do(operation, agent, request))
        except (InvalidRequestError, ContractError) as error:
            return error_response(400, error.message)

    def _agent(self, request: httpx.Request) -> str | httpx.Response:
        """Whose token it is, or the refusal."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or token not in self.tokens:
            return error_response(401, "the token is missing, expired or unknown")
        agent = self.tokens[token]
        if agent is None:
            return error_response(403, "this token belongs to no provisioned agent")
        return agent

    def _do(self, operation: str, agent: str, request: httpx.Request) -> dict[str, Any]:
        if operation == "list":
            return {"armed": [self._listed(one) for one in self.table.armed(agent)]}
        members = parse_json(request.content)
        if not isinstance(members, dict):
            raise InvalidRequestError("the body is not an object")
        if operation == "cancel":
            check_optional("CancelRequest", members)
            self.table.cancel(
                agent, validation.check_job_id(_member(members, "job_id")), self.now()
            )
            return {"ok": True}
        return {"schedule_id": self._provision(agent, members)}

    def _provision(self, agent: str, members: dict[str, Any]) -> str:
        job_id = validation.check_job_id(_member(members, "job_id"))
        fire_at = validation.check_fire_at(_member(members, "fire_at"))
        url = validation.check_callback_url(_member(members, "agent_callback_url"))
        key = validation.check_dedup_key(_member(members, "dedup_key"), job_id, fire_at)
        more = check_optional("ProvisionRequest", members)
        return self.table.provision(agent, job_id, fire_at, url, key, self.now(), more)

    def _listed(self, one: StoredOneShot) -> dict[str, Any]:
        fire_at = one.fire_at
        if self._normalise:
            fire_at = format_instant(parse_instant(fire_at))
        entry = {"job_id": one.job_id, "fire_at": fire_at, "schedule_id": one.schedule_id}
        return {**entry, **fitting("ArmedOneShot", one.members)}


def operation_of(request: httpx.Request) -> str | None:
    """The operation a request is for."""
    return OPERATIONS.get((request.method, request.url.path))


def _member(members: dict[str, Any], name: str) -> str:
    if name not in members:
        raise InvalidRequestError(f"{name}: missing", field=name)
    value = members[name]
    if not isinstance(value, str):
        raise InvalidRequestError(f"{name}: not a text", field=name)
    return value
