import asyncio
import json
from typing import Any

import httpx
import pytest

from nas_sdk import (
    ContractError,
    NasConnectionError,
    NasTimeoutError,
    ServerError,
    UnauthorizedError,
    parse_instant,
)
from nas_sdk.testing import Delivery, InMemoryNas, VirtualClock
from tests.support.both_clients import CALLBACK, FIRE_AT, KINDS, PROVISION, nas_driver

PAST = "2025-12-31T23:00:00Z"
WHOLE = {"job_id": "a", "fire_at": FIRE_AT, "agent_callback_url": "https://a"}


@pytest.fixture
def nas() -> InMemoryNas:
    return InMemoryNas()


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def post(nas: InMemoryNas, path: str, **options: Any) -> httpx.Response:
    """A request that is none of our clients'."""
    headers = options.pop("headers", {"Authorization": "Bearer agent-token"})
    with httpx.Client(transport=nas.transport(), base_url=nas.base_url, headers=headers) as http:
        return http.post(f"/api/agent-cron/{path}", **options)


# The contract's rules


def test_the_same_key_changes_nothing_and_another_replaces(nas: InMemoryNas) -> None:
    client = nas.client()
    first = client.provision(*PROVISION)
    assert client.provision(*PROVISION) == first
    later = client.provision("job-1", "2027-01-01T00:00:00Z", CALLBACK)
    assert later != first
    assert [one.fire_at for one in nas.armed().values()] == ["2027-01-01T00:00:00Z"]


def test_fire_times_are_listed_in_another_spelling(nas: InMemoryNas) -> None:
    client = nas.client()
    client.provision("job-1", "2026-06-18T12:34:56.123456789+02:00", CALLBACK)
    (listed,) = client.list_armed()
    assert listed.fire_at == "2026-06-18T10:34:56.123Z"
    assert parse_instant(listed.fire_at) == parse_instant(nas.armed()["job-1"].fire_at)
    as_sent = InMemoryNas(normalise=False)
    as_sent.client().provision(*PROVISION)
    assert as_sent.client().list_armed()[0].fire_at == FIRE_AT


def test_agents_do_not_see_each_other(nas: InMemoryNas) -> None:
    nas.tokens["other-token"] = "other"
    nas.client("other-token").provision(*PROVISION)
    assert nas.client().list_armed() == []
    nas.client().cancel("job-1")
    assert list(nas.armed("other")) == ["job-1"]


def test_what_was_accepted_is_not_armed_again_for_ten_minutes(nas: InMemoryNas) -> None:
    client = nas.client()
    first = client.provision("job-1", PAST, CALLBACK)
    nas.deliver(lambda request: httpx.Response(202))
    assert client.provision("job-1", PAST, CALLBACK) == first
    assert nas.armed() == {}
    nas.clock.sleep(601)
    assert client.provision("job-1", PAST, CALLBACK) != first
    assert list(nas.armed()) == ["job-1"]


def test_forget_and_arm(nas: InMemoryNas) -> None:
    schedule_id = nas.arm("orphan", FIRE_AT)
    assert nas.client().list_armed()[0].schedule_id == schedule_id
    nas.forget()
    assert nas.client().list_armed() == []


@pytest.mark.off_contract("request")
@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "job_id"),
        ({"job_id": 7}, "job_id"),
        ({"job_id": "no spaces"}, "job_id"),
        ({"job_id": "a"}, "fire_at"),
        ({"job_id": "a", "fire_at": "2026-06-18T12:34:56"}, "fire_at"),
        ({"job_id": "a", "fire_at": FIRE_AT, "agent_callback_url": "x"}, "agent_callback_url"),
        (WHOLE, "dedup_key"),
        (
            {
                "job_id": "a",
                "fire_at": FIRE_AT,
                "agent_callback_url": "https://a",
                "dedup_key": "b",
            },
            "dedup_key",
        ),
    ],
)
def test_a_bad_request_names_the_field(nas: InMemoryNas, body: Any, field: str) -> None:
    response = post(nas, "provision", json=body)
    assert (response.status_code, response.json()["error"]) == (400, "invalid_request")
    assert response.json()["error_description"].startswith(f"{field}: ")


@pytest.mark.off_contract("request")
@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"\xff"])
def test_a_body_that_is_no_object(nas: InMemoryNas, content: bytes) -> None:
    assert post(nas, "cancel", content=content).status_code == 400


@pytest.mark.off_contract("request")
@pytest.mark.parametrize(
    ("authorization", "status"),
    [
        (None, 401),
        ("Basic eDp5", 401),
        ("Bearer unknown", 401),
        ("bearer agent-token", 200),
        ("Bearer orphan", 403),
    ],
)
def test_tokens(nas: InMemoryNas, authorization: str | None, status: int) -> None:
    nas.tokens["orphan"] = None
    headers = {"Authorization": authorization} if authorization else {}
    response = post(nas, "cancel", json={"job_id": "a"}, headers=headers)
    assert response.status_code == status
    assert ("www-authenticate" in response.headers) == (status == 401)


@pytest.mark.off_contract("request")
def test_there_is_nothing_else(nas: InMemoryNas) -> None:
    assert post(nas, "no-such-operation").status_code == 404
    assert post(nas, "list").status_code == 404


# Faults


def test_the_double_asks_for_patience_as_the_contract_has_it(nas: InMemoryNas) -> None:
    nas.fail_next(429)
    assert post(nas, "cancel", json={"job_id": "a"}).headers["retry-after"] == "1"


async def test_faults_of_a_status(kind: str, nas: InMemoryNas) -> None:
    call = nas_driver(kind, nas, max_attempts=1)
    nas.fail_next(503)
    nas.fail_next(401)
    with pytest.raises(ServerError):
        await call("provision", *PROVISION)
    with pytest.raises(UnauthorizedError):
        await call("provision", *PROVISION)
    assert nas.armed() == {}
    nas.fail_next(500, applied=True)
    with pytest.raises(ServerError):
        await call("provision", *PROVISION)
    assert list(nas.armed()) == ["job-1"]


async def test_faults_of_a_body(kind: str, nas: InMemoryNas) -> None:
    call = nas_driver(kind, nas)
    bodies: list[Any] = [b"<h1>", "<h1>", {"armed": 1}, []]
    for body in bodies:
        nas.fail_next(body=body)
        with pytest.raises(ContractError):
            await call("list_armed")
    nas.fail_next(body=[], applied=True)
    with pytest.raises(ContractError):
        await call("provision", *PROVISION)
    assert list(nas.armed()) == ["job-1"]


async def test_faults_of_a_connection(kind: str, nas: InMemoryNas) -> None:
    call = nas_driver(kind, nas, max_attempts=1)
    nas.fail_next(drop="before")
    with pytest.raises(NasConnectionError):
        await call("provision", *PROVISION)
    assert nas.armed() == {}
    nas.fail_next(drop="after")
    with pytest.raises(NasConnectionError):
        await call("provision", *PROVISION)
    assert list(nas.armed()) == ["job-1"]
    assert len(nas.requests) == 2


async def test_faults_of_time(kind: str, nas: InMemoryNas) -> None:
    call = nas_driver(kind, nas, max_attempts=1, timeout=5)
    start = nas.clock.time()
    nas.fail_next(delay=3)
    assert await call("list_armed") == []
    assert nas.clock.time() - start == 3
    nas.fail_next(delay=30)
    with pytest.raises(NasTimeoutError):
        await call("provision", *PROVISION)
    assert nas.clock.time() - start == 8
    assert list(nas.armed()) == ["job-1"]
    nas.fail_next(503, delay=30)
    with pytest.raises(NasTimeoutError):
        await call("cancel", "job-1")
    assert list(nas.armed()) == ["job-1"]


async def test_a_fault_for_one_operation(kind: str, nas: InMemoryNas) -> None:
    call = nas_driver(kind, nas, max_attempts=1)
    nas.fail_next(503, operation="cancel")
    await call("list_armed")
    assert len(nas.faults) == 1
    with pytest.raises(ServerError):
        await call("cancel", "job-1")
    nas.fail_next(503, times=5)
    nas.faults.clear()
    await call("cancel", "job-1")


def test_what_breaks_the_contract_is_marked(nas: InMemoryNas) -> None:
    nas.fail_next(503)
    assert "nas_sdk.fault" not in post(nas, "cancel", json={"job_id": "a"}).extensions
    nas.fail_next(418)
    assert "nas_sdk.fault" in post(nas, "cancel", json={"job_id": "a"}).extensions
    nas.fail_next(body={"ok": False})
    assert "nas_sdk.fault" in post(nas, "cancel", json={"job_id": "a"}).extensions


# Fires


def test_nothing_is_due_early(nas: InMemoryNas) -> None:
    nas.client().provision("job-1", "2026-01-01T00:00:10Z", f"{CALLBACK}/")
    assert nas.next_due() == nas.clock.time() + 10
    assert nas.deliver(lambda request: httpx.Response(202)) == []
    nas.clock.sleep(10)
    fired: list[httpx.Request] = []

    def agent(request: httpx.Request) -> httpx.Response:
        fired.append(request)
        return httpx.Response(202)

    assert nas.deliver(agent) == [Delivery("job-1", "2026-01-01T00:00:10Z", 202)]
    assert str(fired[0].url) == f"{CALLBACK}/api/cron/fire"
    assert json.loads(fired[0].content) == {"job_id": "job-1", "fire_at": "2026-01-01T00:00:10Z"}
    assert nas.next_due() is None
    assert nas.armed() == {}


@pytest.mark.parametrize("status", [200, 202, 204, 410])
def test_what_ends_a_one_shot(nas: InMemoryNas, status: int) -> None:
    nas.arm("job-1", PAST)
    nas.deliver(lambda request: httpx.Response(status))
    assert nas.armed() == {}


@pytest.mark.parametrize(
    "answer",
    [
        *(301, 400, 401, 404, 500),
        httpx.ConnectError("asleep"),
        httpx.ReadTimeout("busy"),
        httpx.RemoteProtocolError("hung up"),
        httpx.TooManyRedirects("in circles"),
    ],
)
async def test_what_is_delivered_again(nas: InMemoryNas, answer: int | httpx.HTTPError) -> None:
    nas.arm("job-1", PAST)
    status = answer if isinstance(answer, int) else None

    def agent(request: httpx.Request) -> httpx.Response:
        if isinstance(answer, httpx.HTTPError):
            raise answer
        return httpx.Response(answer)

    async def async_agent(request: httpx.Request) -> httpx.Response:
        return agent(request)

    assert [delivery.status for delivery in nas.deliver(agent)] == [status]
    nas.clock.sleep(3600)
    assert [delivery.status for delivery in await nas.deliver_async(async_agent)] == [status]
    assert list(nas.armed()) == ["job-1"]


def test_retry_after_is_obeyed(nas: InMemoryNas) -> None:
    nas.arm("job-1", PAST)
    nas.deliver(lambda request: httpx.Response(503, headers={"Retry-After": "100"}))
    due = nas.next_due()
    assert due is not None
    assert 100 <= due - nas.clock.time() <= 101


def test_the_key_set_is_served(nas: InMemoryNas) -> None:
    with httpx.Client(transport=nas.transport()) as http:
        assert http.get(f"{nas.base_url}/.well-known/jwks.json").json() == nas.jwks()
        nas.fail_next(503, operation="jwks")
        assert http.get(f"{nas.base_url}/.well-known/jwks.json").status_code == 503


def test_a_fire_token_can_be_verified(nas: InMemoryNas) -> None:
    from nas_sdk import FireRefused, FireVerifier

    verifier = FireVerifier(nas.jwks(), audience="agent:agent", issuer=nas.base_url)
    nas.arm("job-1", PAST)
    (one_shot,) = nas.due()
    request = nas.fire_request(one_shot)
    assert verifier.verify(request.headers, request.content).job_id == "job-1"
    bad: list[dict[str, Any]] = [
        {"agent": "other"},
        {"purpose": "login"},
        {"iss": "https://evil.test"},
        {"exp": 1},
        {"purpose": None},
    ]
    for claims in bad:
        with pytest.raises(FireRefused):
            verifier.verify_token(nas.mint_fire_token(**claims))


# The clock


async def test_the_backoff_of_a_double_can_be_cancelled(nas: InMemoryNas) -> None:
    nas.fail_next(503, times=100_000)
    client = nas.async_client(deadline=None, max_attempts=1_000_000)
    call = asyncio.ensure_future(client.list_armed())
    for _ in range(1000):
        if len(nas.requests) < 3:
            await asyncio.sleep(0)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert len(nas.requests) < 100


def test_time_stands_still_until_it_is_moved() -> None:
    clock = VirtualClock(start=100.0)
    assert clock.time() == clock.monotonic() == 100.0
    clock.sleep(2.5)
    assert clock.time() == 102.5


def test_deliver_says_when_something_will_be_due(
    nas: InMemoryNas, caplog: pytest.LogCaptureFixture
) -> None:
    assert nas.deliver(lambda request: httpx.Response(202)) == []
    assert caplog.messages == []
    nas.arm("later", "2026-01-01T00:10:00Z")
    assert nas.deliver(lambda request: httpx.Response(202)) == []
    (said,) = caplog.messages
    assert "nothing is due at 2026-01-01T00:00:00.000Z" in said
    assert "the next is at 2026-01-01T00:10:00.000Z: nas.clock.sleep(600)" in said


def test_an_asynchronous_send_is_told_where_it_belongs(nas: InMemoryNas) -> None:
    async def send(request: httpx.Request) -> httpx.Response:
        return httpx.Response(202)

    for each in (send, lambda request: send(request)):
        nas.arm("job", PAST)
        with pytest.raises(TypeError, match="deliver_async"):
            nas.deliver(each)  # type: ignore[arg-type]  # that is the mistake


def test_why_a_fire_ended_without_a_run_is_told(nas: InMemoryNas) -> None:
    for job, status, body in (
        ("a", 200, {"status": "duplicate", "job_id": "a"}),
        ("b", 202, {"status": "accepted", "job_id": "b"}),
        ("c", 200, {"status": "fine"}),
    ):
        nas.arm(job, PAST)
        answers = {job: httpx.Response(status, json=body)}
        (sent,) = nas.deliver(lambda request: answers.popitem()[1])  # noqa: B023 - called at once
        assert sent.not_run == ("duplicate" if job == "a" else None)
    assert nas.armed() == {}
