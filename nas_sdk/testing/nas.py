"""`InMemoryNas`: what a test sees of the in-memory NAS."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple

import httpx

from nas_sdk._core.clock import Clock
from nas_sdk._core.instants import format_instant
from nas_sdk._core.operations import not_run, parse_json
from nas_sdk._core.retry import parse_retry_after
from nas_sdk._core.schemas import fitting, optional
from nas_sdk._core.tokens import AsyncTokenSource, TokenSource
from nas_sdk.aclient import AsyncNasClient
from nas_sdk.client import NasClient
from nas_sdk.protocol.one_shot import DeliveryResult, StoredOneShot, answered
from nas_sdk.protocol.table import OneShotTable

from .faults import Drop, Fault, Faults, body_bytes
from .keys import FireKey
from .request_handler import RequestHandler, operation_of
from .time import VirtualClock
from .transport import FaultyTransport

_log = logging.getLogger("nas_sdk")
_ASYNC = "deliver: `send` is asynchronous: await nas.deliver_async(send)"


class Delivery(NamedTuple):
    """One fire that `deliver` sent; `status` is None when no answer came.

    `not_run` is the agent's word for why it ended without a run, such as `duplicate`.
    """

    job_id: str
    fire_at: str
    status: int | None
    not_run: str | None = None


class InMemoryNas:
    """NAS for one or more agents. Its own clients and any httpx client can call it.

    The token `agent-token` belongs to the agent `agent`. Change `tokens` to change who is
    who: a token that is not in it is a 401, one that maps to None belongs to no agent and
    is a 403. `requests` holds every request that came in, also those that were dropped.
    """

    def __init__(
        self,
        *,
        clock: Clock | None = None,
        base_url: str = "https://nas.test",
        normalise: bool = True,
    ) -> None:
        """Without `clock`, time is virtual, and begins with 2026; see `VirtualClock`.

        normalise: list fire times in another spelling (UTC, `Z`, milliseconds), as NAS may.
        """
        self.clock = clock or VirtualClock()
        self.base_url = base_url
        self.requests: list[httpx.Request] = []
        self.faults = Faults()
        self.key = FireKey()
        self._handler = RequestHandler(self.clock, self.jwks, normalise=normalise)
        self.tokens = self._handler.tokens
        self.tokens["agent-token"] = "agent"

    def transport(self) -> httpx.MockTransport:
        """A transport for `httpx.Client` and `httpx.AsyncClient` alike."""
        return FaultyTransport(self._handler.answer, self.faults, self.requests, self.clock)

    def client(self, token: TokenSource = "agent-token", **options: Any) -> NasClient:  # noqa: S107
        """A client of this NAS, on its clock. `options` are those of `NasClient`."""
        options.setdefault("clock", self.clock)
        return NasClient(self.base_url, token, transport=self.transport(), **options)

    def async_client(
        self,
        token: AsyncTokenSource = "agent-token",  # noqa: S107
        **options: Any,
    ) -> AsyncNasClient:
        """The same for `AsyncNasClient`."""
        options.setdefault("clock", self.clock)
        return AsyncNasClient(self.base_url, token, transport=self.transport(), **options)

    def armed(self, agent: str = "agent") -> dict[str, StoredOneShot]:
        """What the agent has armed, by job id, fire times as they were sent."""
        with self._handler.lock:
            return {one.job_id: one for one in self._handler.table.armed(agent)}

    def arm(
        self,
        job_id: str,
        fire_at: str,
        agent_callback_url: str = "https://agent.test",
        *,
        agent: str = "agent",
        **more: Any,
    ) -> str:
        """Arm a one-shot behind the client's back; returns its schedule id.

        more: optional members that the contract has for its entry in the list, or its fire.
        """
        if unknown := more.keys() - {*optional("ArmedOneShot"), *optional("FireRequest")}:
            raise TypeError(f"arm: the contract has no member {min(unknown)!r} for a one-shot")
        fire = agent, job_id, fire_at, agent_callback_url, f"{job_id}:{fire_at}"
        with self._handler.lock:
            return self._handler.table.provision(*fire, self._handler.now(), more)

    def forget(self) -> None:
        """Lose every one-shot, as a NAS that lost its state."""
        with self._handler.lock:
            self._handler.table = OneShotTable()

    def sent(self, operation: str) -> list[Any]:
        """The JSON bodies of the requests for `provision` or `cancel` so far."""
        return [
            parse_json(request.content)
            for request in self.requests
            if operation_of(request) == operation
        ]

    def fail_next(
        self,
        status: int | None = None,
        *,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        delay: float = 0.0,
        drop: Drop | None = None,
        applied: bool = False,
        operation: str | None = None,
        times: int = 1,
    ) -> None:
        """Let something go wrong with the next request; faults happen in the order ordered.

        status: answer with it, with the contract's error body unless `body` is given.
        body: answer with this body, status 200 unless one is given; bytes, text or JSON.
        delay: seconds on the clock before anything else; a client that waits less times out.
        drop: break the connection `before` or `after` the request took effect.
        applied: let the request take effect although the answer says otherwise.
        operation: only a request for `provision`, `cancel`, `list` or `jwks`.
        times: this many requests.
        """
        fault = Fault(status, body_bytes(body), headers or {}, delay, drop, applied, operation)
        self.faults.order(fault, times)

    def next_due(self) -> float | None:
        """When the next delivery is due, in seconds since the epoch."""
        with self._handler.lock:
            due = self._handler.table.next_due()
        return None if due is None else due / 1000

    def due(self) -> list[StoredOneShot]:
        """Begin the delivery of what is due now; `deliver` does this by itself."""
        with self._handler.lock:
            return self._handler.table.due(self._handler.now(), 1_000_000)

    def deliver(self, send: Callable[[httpx.Request], httpx.Response]) -> list[Delivery]:
        """Send the fires that are due, such as with `send=httpx.Client(…).send`.

        What is not answered with 2xx or 410 is due again later, as the contract has it. When
        something is armed and nothing due yet, a warning in the log says when it will be.
        Raises TypeError for an asynchronous `send`: that is for `deliver_async`.
        """
        if inspect.iscoroutinefunction(send):
            raise TypeError(_ASYNC)
        delivered = []
        for one_shot in self._due():
            try:
                response = send(self.fire_request(one_shot))
            except httpx.HTTPError:
                response = None
            if inspect.iscoroutine(response):
                response.close()
            if inspect.isawaitable(response):
                raise TypeError(_ASYNC)
            delivered.append(self._settle(one_shot, response))
        return delivered

    async def deliver_async(
        self, send: Callable[[httpx.Request], Awaitable[httpx.Response]]
    ) -> list[Delivery]:
        """The same for an asynchronous `send`, such as that of `httpx.AsyncClient`."""
        delivered = []
        for one_shot in self._due():
            try:
                response = await send(self.fire_request(one_shot))
            except httpx.HTTPError:
                response = None
            delivered.append(self._settle(one_shot, response))
        return delivered

    def _due(self) -> list[StoredOneShot]:
        """What is due; says when the next is if nothing is."""
        due, then = self.due(), self.next_due()
        if not due and then is not None:
            now, ms = self.clock.time(), 1000
            _log.warning(
                "deliver: nothing is due at %s; the next is at %s: nas.clock.sleep(%g)",
                format_instant(int(now * ms)),
                format_instant(int(then * ms)),
                round(then - now, 3),
            )
        return due

    def fire_request(self, one_shot: StoredOneShot) -> httpx.Request:
        """The fire of a one-shot, with a fresh token."""
        return httpx.Request(
            "POST",
            f"{one_shot.callback_url.rstrip('/')}/api/cron/fire",
            json={
                "job_id": one_shot.job_id,
                "fire_at": one_shot.fire_at,
                **fitting("FireRequest", one_shot.members),
            },
            headers={"Authorization": f"Bearer {self.mint_fire_token(one_shot.agent)}"},
        )

    def mint_fire_token(self, agent: str = "agent", **claims: Any) -> str:
        """A fire token for the agent, valid now by the real clock. Needs the extra `webhooks`.

        `claims` replace the usual ones; None leaves one out.
        """
        usual = {"iss": self.base_url, "aud": f"agent:{agent}", "purpose": "cron_fire"}
        return self.key.sign({**usual, **claims})

    def jwks(self) -> dict[str, Any]:
        """The key set that verifies the tokens; also served at `/.well-known/jwks.json`."""
        return {"keys": [self.key.public_jwk()]}

    def _settle(self, one_shot: StoredOneShot, response: httpx.Response | None) -> Delivery:
        status = None if response is None else response.status_code
        word = None if response is None or status != 200 else not_run(response.content)
        with self._handler.lock:
            self._handler.table.settle(one_shot, self._outcome(response, word), self._handler.now())
        return Delivery(one_shot.job_id, one_shot.fire_at, status, word)

    def _outcome(self, response: httpx.Response | None, word: str | None) -> DeliveryResult:
        if response is None:
            return DeliveryResult(ended=False, note="no answer")
        wait = parse_retry_after(response.headers, self.clock.time())
        retry_after_ms = None if wait is None else int(wait * 1000)
        return answered(response.status_code, word, retry_after_ms)
