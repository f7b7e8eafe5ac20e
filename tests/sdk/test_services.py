"""What services ask of a client: headers, raw answers, a token per agent, no copies by accident."""

import copy
import gc
import pickle
from contextvars import copy_context
from enum import Enum
from typing import Any

import httpx
import pytest

from nas_sdk import (
    Arm,
    ConfigurationError,
    InvalidRequestError,
    NasClient,
    NasConnectionError,
)
from nas_sdk._core import base_client
from nas_sdk.testing import InMemoryNas
from tests.support.both_clients import KINDS, PROVISION, Driver, answering, driver, nas_driver
from tests.support.loopback import Seen, http_answer, loopback

SECRET = "s3cr3t-value"
OURS = (
    "Accept",
    "accept-encoding",
    "Authorization",
    "Connection",
    "Content-Encoding",
    "Content-Length",
    "Content-Type",
    "host",
    "TE",
    "Trailer",
    "Transfer-Encoding",
    "Upgrade",
    "User-Agent",
)
"""What the client sets itself: another one of these misleads whoever reads the request."""


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def nas() -> InMemoryNas:
    return InMemoryNas()


async def test_headers_of_a_client_and_of_a_call(kind: str, nas: InMemoryNas) -> None:
    call = nas_driver(kind, nas, default_headers={"X-Gateway": "a", "X-Tenant": "b"})
    await call("provision", *PROVISION, extra_headers={"traceparent": "c", "x-tenant": "d"})
    await call("cancel", "job-1", extra_headers={"traceparent": "e"})
    await call("list_armed", extra_headers={"traceparent": "f"})
    await call("list_armed")
    names = ("x-gateway", "x-tenant", "traceparent")
    sent = [[seen.headers.get(name) for name in names] for seen in nas.requests]
    assert sent == [["a", "d", "c"], ["a", "b", "e"], ["a", "b", "f"], ["a", "b", None]]


@pytest.mark.parametrize(
    "headers",
    [
        *({name: SECRET} for name in OURS),
        {"X-Key": f"{SECRET}\r\nX-More: 1"},
        {"X-Key": f"{SECRET}é"},
        {"X Key": SECRET},
        {"X-Key": [SECRET]},
        [("X-Key", SECRET)],
    ],
)
async def test_headers_that_cannot_be_sent(kind: str, nas: InMemoryNas, headers: Any) -> None:
    with pytest.raises(ConfigurationError, match="default_headers: ") as of_client:
        nas_driver(kind, nas, default_headers=headers)
    with pytest.raises(InvalidRequestError, match="extra_headers: ") as of_call:
        await nas_driver(kind, nas)("list_armed", extra_headers=headers)
    assert SECRET not in f"{of_client.value}{of_call.value}"
    assert nas.requests == []


@pytest.mark.off_contract("response")
async def test_a_raw_response(kind: str) -> None:
    headers = {"X-Request-Id": "r-1", "X-Echo": "Bearer agent-token"}
    transport, _ = answering(
        httpx.Response(503), httpx.Response(200, json={"schedule_id": "os-1"}, headers=headers)
    )
    call = driver(kind, transport=transport)
    reply = call.client.with_raw_response.provision(*PROVISION)
    if kind == "async":
        reply = await reply  # type: ignore[misc]  # of the other kind
    told: Any = reply
    assert (told.result.schedule_id, told.status, told.attempts) == ("os-1", 200, 2)
    assert (told.request_id, told.headers["x-request-id"]) == ("r-1", "r-1")
    assert "agent-token" not in told.headers["x-echo"]


async def test_views_of_many_agents_share_the_connections(kind: str) -> None:
    def answer(seen: Seen) -> bytes:
        return http_answer(b'{"armed": []}')

    with loopback(answer) as server:
        owner = driver(kind, server.url, "token-of-owner")
        for name in ("a", "b"):
            await Driver(owner.client.with_options(token=f"token-of-{name}"))("list_armed")
        await owner("list_armed")
        sent = [seen.headers["authorization"] for seen in server.seen]
        assert sent == ["Bearer token-of-a", "Bearer token-of-b", "Bearer token-of-owner"]
        assert server.connections == 1
        await owner.close()


async def test_the_last_response_is_that_of_the_client(kind: str) -> None:
    calls = []
    for name in ("first", "second"):
        answer = httpx.Response(200, json={"armed": []}, headers={"X-Request-Id": name})
        calls.append(driver(kind, transport=answering(answer)[0]))
        await calls[-1]("list_armed")
    told = [call.client.last_response for call in calls]
    assert [last and last.request_id for last in told] == ["first", "second"]


def test_a_client_is_not_pickled_and_says_what_to_do(kind: str, nas: InMemoryNas) -> None:
    client = nas_driver(kind, nas).client
    for act in (pickle.dumps, copy.deepcopy):
        with pytest.raises(TypeError, match="make one where it is used"):
            act(client)


def test_a_shallow_copy_works(nas: InMemoryNas) -> None:
    twin = copy.copy(nas.client())
    assert isinstance(twin, NasClient)
    assert twin.list_armed() == []


class Named(str, Enum):  # noqa: UP042 - which formats as a text does
    """An enum of texts, which formats as the name of its member."""

    JOB = PROVISION[0]
    FIRE_AT = PROVISION[1]
    URL = PROVISION[2]


async def test_an_enum_of_texts_is_its_text(kind: str, nas: InMemoryNas) -> None:
    call = nas_driver(kind, nas)
    await call("provision", *Named)
    await call("cancel", Named.JOB)
    [outcome] = await call("provision_many", [Arm(*Named)])
    assert outcome.ok
    assert (
        nas.sent("provision")
        == [
            {
                "job_id": PROVISION[0],
                "fire_at": PROVISION[1],
                "agent_callback_url": PROVISION[2],
                "dedup_key": f"{PROVISION[0]}:{PROVISION[1]}",
            }
        ]
        * 2
    )


async def test_clients_that_are_gone_leave_nothing_behind_in_the_context(kind: str) -> None:
    """As of a service that makes one for each request: a context outlives its thread's work."""

    async def call_one() -> None:
        call = driver(kind, transport=answering(httpx.Response(200, json={"armed": []}))[0])
        await call("list_armed")
        assert call.client.last_response is not None

    gc.collect()  # what other tests left makes room at the first call
    await call_one()
    gc.collect()
    before = len(copy_context()), len(base_client._LASTS.get())
    for _ in range(10):
        await call_one()
        gc.collect()
    assert (len(copy_context()), len(base_client._LASTS.get())) == before


@pytest.mark.parametrize("passed", [True, False])
async def test_no_error_behind_an_error_holds_the_token(kind: str, passed: bool) -> None:
    """An HTTP library's errors have the request they are about, with its headers."""
    library = httpx.Client if kind == "sync" else httpx.AsyncClient
    refusing: Any = httpx.MockTransport(refuse)
    options = {"http_client": library(transport=refusing)} if passed else {"transport": refusing}
    call = driver(kind, token=SECRET, max_attempts=1, **options)
    with pytest.raises(NasConnectionError) as caught:
        await call("list_armed")
    error = caught.value.__cause__
    assert isinstance(error, httpx.ConnectError)
    assert error.request.url == "https://nas.test/api/agent-cron/list"
    assert SECRET not in repr(error.request.headers.raw)


def refuse(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("refused", request=request)
