"""NAS in the simulated world: the real rules of one-shots, behind a network that fails."""

from __future__ import annotations

import contextlib
import functools
import itertools
import json
import random
from typing import TYPE_CHECKING, Any

import httpx

from nas_sdk._core.clock import Clock
from nas_sdk.protocol.one_shot import DeliveryResult, StoredOneShot
from nas_sdk.protocol.table import OneShotTable
from nas_sdk.testing.faults import error_response
from nas_sdk.testing.request_handler import RequestHandler, operation_of

from . import promises
from .chaos import REFUSALS

if TYPE_CHECKING:
    from .front import Answer
    from .process import OsProcess
    from .world import World

URL = "https://nas.test"
AGENT = "agent"
SPOILT = "soon"
"""A fire time that cannot be read."""
ANSWER_SECONDS = 30.0
"""How long NAS waits for the agent's answer to a fire."""


class _NasClock(Clock):
    def __init__(self, world: World) -> None:
        self._world = world

    def time(self) -> float:
        return self._world.engine.now


class SimulatedNas:
    """The account service: it answers requests and fires what is due."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._engine = world.engine
        self._ids = itertools.count(1)
        self._tokens = itertools.count(1)
        self.handler = RequestHandler(
            _NasClock(world), lambda: {}, normalise=world.chance.random() < 0.5
        )
        self.forget()
        self.token = ""
        self.renew_token()
        self.requests = 0
        self.writes = 0
        self.fires: list[tuple[float, str]] = []
        """When which job was fired."""
        self.tries: list[tuple[float, str]] = []
        """The same without those that NAS repeats by itself."""
        self._alarm: float | None = None

    # Requests of the agent.

    def renew_token(self) -> None:
        """The token so far is refused from now on; the login has another."""
        self.handler.tokens.clear()
        self.token = f"token-{next(self._tokens)}-of-the-agent"
        self.handler.tokens[self.token] = AGENT

    def forget(self) -> None:
        """Lose every one-shot."""
        self.handler.table = OneShotTable(
            chance=self._world.chance.random, new_id=lambda: f"os_{next(self._ids)}"
        )

    def armed(self) -> dict[str, StoredOneShot]:
        """What is armed, by job id."""
        return {one.job_id: one for one in self.handler.table.armed(AGENT)}

    def call(self, process: OsProcess, request: httpx.Request) -> httpx.Response:
        """Carry a request over and its answer back; raises httpx errors."""
        process.step()
        operation = operation_of(request) or "?"
        fault = self._world.chaos.request_fault(self._engine.now)
        self.requests += 1
        self.writes += operation in ("provision", "cancel")
        if operation == "cancel":
            promises.check_cancel(self._world, process, json.loads(request.content)["job_id"])
        try:
            response = self._carry(request, operation, fault)
        except httpx.HTTPError as error:
            self._tell(process, operation, request, type(error).__name__, fault)
            raise
        self._tell(process, operation, request, str(response.status_code), fault)
        if operation == "list":
            process.listed = _job_ids(response)
        process.step()
        return response

    def _carry(self, request: httpx.Request, operation: str, fault: str | None) -> httpx.Response:
        engine, chance = self._engine, self._world.chance
        patience = float(request.extensions["timeout"]["read"])
        if fault == "NAS forgets":
            self._world.forget()
        elif fault == "NAS down":
            self._world.chaos.go_down(engine.now)
            fault = "down"
        if fault == "expired token":
            self.renew_token()
        there, back = chance.uniform(0.002, 0.05), chance.uniform(0.002, 0.05)
        if fault == "slow" and chance.random() < 0.5:
            there = chance.uniform(1, 40)
        elif fault == "slow":
            back = chance.uniform(1, 40)
        engine.rest(min(there, patience))
        if there >= patience:
            raise httpx.ReadTimeout("too slow", request=request)
        if fault == "lost before":
            raise self._lost(request, patience)
        if fault in ("5xx before", "down"):
            return error_response(503, "a bad moment")
        if fault in REFUSALS:
            self._world.chaos.refuse(fault, engine.now)
            return error_response(int(fault.split()[0]), "not you")
        if fault == "429":
            return error_response(429, "slow down", {"Retry-After": str(chance.randint(1, 40))})
        response = self.handler.answer(request)
        if operation != "list":
            self._world.changed()
        self.watch()
        engine.rest(min(back, patience))
        if back >= patience:
            raise httpx.ReadTimeout("too slow", request=request)
        if fault == "lost after":
            raise self._lost(request, patience)
        if fault == "5xx after":
            return error_response(502, "a bad moment")
        return _malformed(response, operation, chance) if fault == "malformed" else response

    def _lost(self, request: httpx.Request, patience: float) -> httpx.HTTPError:
        if self._world.chance.random() < 0.7:
            return httpx.ReadError("connection reset", request=request)
        self._engine.rest(patience)
        return httpx.ReadTimeout("no answer", request=request)

    def _tell(
        self,
        process: OsProcess,
        operation: str,
        request: httpx.Request,
        end: str,
        fault: str | None,
    ) -> None:
        self._world.story.tell(process.name, "request", operation, request.content, end, fault)

    def log_in(self) -> str:
        """The token that the login has now. Raises RuntimeError when there is none."""
        if self._world.chaos.fault("login", self._engine.now):
            raise RuntimeError("the login server does not answer")
        return self.token

    # Fires.

    def watch(self) -> None:
        """Look again when the next one-shot is due."""
        due = self.handler.table.next_due()
        if due is not None and (self._alarm is None or due / 1000 < self._alarm):
            self._alarm = max(self._engine.now, due / 1000)
            self._engine.at(self._alarm, self._ring)

    def _ring(self) -> None:
        engine, chaos = self._engine, self._world.chaos
        if self._alarm is None or engine.now < self._alarm:
            return
        self._alarm = None
        if chaos.is_mute(engine.now):
            self._alarm = engine.now + 5
            engine.at(self._alarm, self._ring)
            return
        for one in self.handler.table.due(int(engine.now * 1000), 100):
            self._fire(one)
        self.watch()

    def _fire(self, one: StoredOneShot) -> None:
        chaos, engine, chance = self._world.chaos, self._engine, self._world.chance
        fault = chaos.fault("fire", engine.now)
        if fault == "fire lost":
            self._world.story.tell("NAS", "fire of {} is lost", one.job_id)
            self._settle(one, None)
            return
        wait = chance.uniform(0.01, 0.1)
        if fault == "fire late":
            wait = chance.choice((10.0, 45.0, 300.0)) * chance.random()
            chaos.note("fire late", engine.now + wait)
        answered = _once(functools.partial(self._answered, one))
        engine.at(engine.now + wait, lambda: self._send(one, answered))
        engine.at(engine.now + wait + ANSWER_SECONDS, lambda: answered(None))

    def _send(self, one: StoredOneShot, answered: Answer) -> None:
        self._world.changed()
        self.fires.append((self._engine.now, one.job_id))
        if one.attempt <= 1:
            self.tries.append(self.fires[-1])
        if self._world.chaos.fault("delivery", self._engine.now):
            self._world.chaos.go_down(self._engine.now)
        self._world.machine.front.receive(one.job_id, one.fire_at, answered)

    def _answered(
        self, one: StoredOneShot, status: int | None, retry_after: int | None = None
    ) -> None:
        chaos, engine, chance = self._world.chaos, self._engine, self._world.chance
        fault = chaos.fault("answer", engine.now)
        if fault == "answer lost":
            status = retry_after = None
        elif fault == "fire doubled":
            later = engine.now + chance.choice((1.0, 30.0, 300.0, 900.0)) * chance.random()
            chaos.note("fire doubled", later)
            engine.at(later, lambda: self._send(one, lambda status, retry_after=None: None))
        self._settle(one, status, retry_after)

    def _settle(
        self, one: StoredOneShot, status: int | None, retry_after: int | None = None
    ) -> None:
        ended = status is not None and 200 <= status < 300
        wait = None if retry_after is None else retry_after * 1000
        outcome = DeliveryResult(ended=ended, note=str(status), retry_after_ms=wait)
        self._world.changed()
        self.handler.table.settle(one, outcome, int(self._engine.now * 1000))
        self.watch()


class Wire:
    """What the SDK's client of one process sends through, in place of an `httpx.Client`."""

    def __init__(self, nas: SimulatedNas, process: OsProcess) -> None:
        self.headers = httpx.Headers()
        self._nas = nas
        self._process = process

    def send(self, request: httpx.Request, **options: object) -> httpx.Response:
        response = self._nas.call(self._process, request)
        response.request = request
        return response


def _once(call: Answer) -> Answer:
    calls = iter((call,))

    def first_only(status: int | None, retry_after: int | None = None) -> None:
        for each in calls:
            each(status, retry_after)
            return

    return first_only


def _job_ids(response: httpx.Response) -> frozenset[str]:
    """The jobs of a list that are readable."""
    with contextlib.suppress(ValueError, TypeError, KeyError):
        items = [each for each in response.json()["armed"] if isinstance(each, dict)]
        return frozenset(
            str(each["job_id"]) for each in items if each.get("fire_at", SPOILT) != SPOILT
        )
    return frozenset()


def _malformed(response: httpx.Response, operation: str, chance: random.Random) -> httpx.Response:
    """An answer that breaks the contract."""
    html = httpx.Response(200, content=b"<html>Welcome</html>")
    if operation != "list" or response.status_code != 200:
        return html
    armed = response.json()["armed"]
    spoilt = {**(armed or [{}])[0], "fire_at": SPOILT}
    item = chance.choice(({"job_id": 7}, "x", {"job_id": "half"}, None, spoilt))
    lists: tuple[Any, ...] = ({"armed": [*armed[1:], item]}, {"armed": {}}, [], {"armed": None})
    body = chance.choice((None, *lists))
    return html if body is None else httpx.Response(200, content=json.dumps(body).encode())
