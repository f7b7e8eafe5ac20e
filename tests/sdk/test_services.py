"""What services ask of a client: headers, raw answers, a token per agent, no copies by accident."""

import copy
import pickle
from typing import Any

import httpx
import pytest

from nas_sdk import ConfigurationError, InvalidRequestError, NasClient
from nas_sdk.testing import InMemoryNas
from tests.support.both_clients import KINDS, PROVISION, Driver, answering, driver, nas_driver
from tests.support.loopback import Seen, http_answer, loopback

SECRET = "s3cr3t-value"


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
        {"Authorization": SECRET},
        {"host": SECRET},
        {"Content-Length": SECRET},
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
