"""What the contract says and the code does not follow, in words: what, where."""

import inspect
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx

from nas_conformance.runner.receiver import Receiver
from nas_conformance.runner.suite import CHECKS
from nas_sdk import AsyncNasClient, NasClient
from nas_sdk._core import operations, schemas
from nas_sdk._core.instants import format_instant
from nas_sdk.testing import InMemoryNas
from nas_sdk.testing.request_handler import OPERATIONS
from nas_server.app import Nas
from nas_server.policy import ServerConfig
from nas_server.store import MemoryStore
from tests.support.nas_in_thread import nas_in_thread
from tests.support.patience import PATIENCE_S
from tests.support.surface import unsurfaced
from tools.contract.spec import Operation
from tools.contract.spec import operations as contract_operations

Send = Callable[[str, str, Any], httpx.Response]
CALLS = {
    "provision": ("/api/agent-cron/provision", "ProvisionRequest", "ProvisionResult"),
    "cancel": ("/api/agent-cron/cancel", "CancelRequest", "CancelResult"),
}
DOUBLE = "nas_sdk/testing/request_handler.py"
ENVELOPES = {"CancelResult": "cancel", "ArmedList": "list_armed"}
"""Answers that a client's method takes apart, so that a new member of them gets lost."""


def unfollowed() -> list[str]:
    """One line for each thing that does not follow the contract by itself."""
    double = InMemoryNas()
    lines = [*unsurfaced(), *_operations(), *_required_of_clients(), *_envelopes(), *_parameters()]
    with httpx.Client(transport=double.transport(), base_url=double.base_url) as http:
        lines += _wire(DOUBLE, _sender(http, "agent-token"))
    lines += _missing("cronFire request", "FireRequest", _fire_of(double), "nas_sdk/testing/nas.py")
    with nas_in_thread() as server, httpx.Client(base_url=server.url, trust_env=False) as http:
        send = _sender(http, server.token)
        lines += _wire("nas_server", send)
        fire = _delivered(send)
    return lines + list(
        _missing("cronFire request", "FireRequest", fire, "nas_server/delivery/caller.py")
    )


def _operations() -> Iterator[str]:
    """Operations that the double, the server or the kit know nothing of."""
    app = Nas(MemoryStore(), ServerConfig(issuer="http://nas.test")).app
    routes = {(r.method, r.resource.canonical) for r in app.router.routes() if r.resource}
    checked = {check.clause.section for check in CHECKS}
    for one in contract_operations(schemas.contract()):
        call = one.method.upper(), one.name
        if one.kind == "paths" and call not in OPERATIONS:
            yield f"{one.title}: {DOUBLE} does not answer {' '.join(call)}"
        if one.kind == "paths" and call not in routes:
            yield f"{one.title}: nas_server/app.py has no route for {' '.join(call)}"
        if one.title not in checked:
            yield f"{one.title}: no check of nas_conformance is about it"


def _required_of_clients() -> Iterator[str]:
    """Required members of requests for which the clients have no parameter."""
    for name, (_, request, _) in CALLS.items():
        for place in (getattr(operations, name), *(getattr(c, name) for c in _CLIENTS)):
            known = inspect.signature(place).parameters
            for member in schemas.required(request):
                if member not in known:
                    where = f"{place.__module__}.{place.__qualname__}"
                    yield f"{name} request: {member} is required, and {where} has no such parameter"


_CLIENTS = (NasClient, AsyncNasClient)


def _envelopes() -> Iterator[str]:
    for name, method in ENVELOPES.items():
        for member in schemas.optional(name):
            yield f"{method} answer: {name}.{member} is lost, for {method}() does not return it"


def _parameters() -> Iterator[str]:
    """Parameters that no method takes: required ones, and any beside a body."""
    for one in contract_operations(schemas.contract()):
        for parameter in _of(one):
            if parameter.get("required") or "requestBody" in one.definition:
                yield f"{one.title}: no method takes the parameter {parameter['name']}"


def _of(one: Operation) -> list[dict[str, Any]]:
    item = schemas.contract()[one.kind][one.name]
    return [*item.get("parameters", ()), *one.definition.get("parameters", ())]


def _wire(place: str, send: Send) -> Iterator[str]:
    """Required members that a NAS takes requests without, or leaves out of its answers."""
    for name, (path, request, answer) in CALLS.items():
        good = dict(schemas.schema(request)["examples"][0])
        if name == "cancel":
            listed = send("GET", "/api/agent-cron/list", None).json()
            yield from _missing("list answer", "ArmedList", listed, place)
            for entry in listed.get("armed", ()):
                yield from _missing("list answer", "ArmedOneShot", entry, place)
        for member in schemas.required(request):
            without = {key: value for key, value in good.items() if key != member}
            if send("POST", path, without).status_code != 400:
                yield f"{name} request: {member} is required, and {place} takes one without it"
        yield from _missing(f"{name} answer", answer, send("POST", path, good).json(), place)


def _missing(where: str, name: str, given: dict[str, Any], place: str) -> Iterator[str]:
    for member in schemas.required(name):
        if member not in given:
            yield f"{where}: {name}.{member} is required, and {place} does not send it"


def _sender(http: httpx.Client, token: str) -> Send:
    headers = {"Authorization": f"Bearer {token}"}
    return lambda method, path, body: http.request(method, path, json=body, headers=headers)


def _fire_of(nas: InMemoryNas) -> dict[str, Any]:
    nas.arm("fired", "2020-01-01T00:00:00Z")
    (one,) = [each for each in nas.due() if each.job_id == "fired"]
    fire: dict[str, Any] = json.loads(nas.fire_request(one).content)
    return fire


def _delivered(send: Send) -> dict[str, Any]:
    """The fire of a one-shot that is due."""
    receiver = Receiver()
    try:
        fire_at = format_instant(int(time.time() * 1000))
        example = schemas.schema("ProvisionRequest")["examples"][0]
        body = {**example, "job_id": "fired", "fire_at": fire_at, "dedup_key": f"fired:{fire_at}"}
        send("POST", CALLS["provision"][0], {**body, "agent_callback_url": receiver.url})
        if not receiver.wait(lambda: receiver.count("fired") > 0, PATIENCE_S):
            return {}
        fire: dict[str, Any] = receiver.deliveries("fired")[0].json()
        return fire
    finally:
        receiver.close()
