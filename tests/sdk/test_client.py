"""Both clients, one table: every test here runs against each of them."""

import asyncio
import gzip
import itertools
import logging
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nas_sdk import (
    AccessToken,
    BadRequestError,
    Clock,
    ConfigurationError,
    ContractError,
    ForbiddenError,
    IdentityRejectedError,
    InvalidRequestError,
    NasClient,
    NasConnectionError,
    NasError,
    NasTimeoutError,
    RateLimitedError,
    RequestEvent,
    ResponseEvent,
    RetryEvent,
    ServerError,
    TokenError,
    UnauthorizedError,
    UnexpectedStatusError,
)
from nas_sdk._core import operations
from nas_sdk._core.events import LOGGER, configure_logging
from nas_sdk.testing import InMemoryNas, VirtualClock
from tests.support.both_clients import (
    CALLBACK,
    FIRE_AT,
    KINDS,
    PROVISION,
    Driver,
    answering,
    driver,
    nas_driver,
)

SECRET = "s3cr3t-t0ken"
OK = httpx.Response(200, json={"schedule_id": "os_1"})
DOWN = httpx.Response(503)


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def nas() -> InMemoryNas:
    return InMemoryNas()


async def error_of(call: Any) -> Any:
    with pytest.raises(NasError) as caught:
        await call
    return caught.value


# The three operations


async def test_provision_list_cancel(kind: str, nas: InMemoryNas) -> None:
    call = nas_driver(kind, nas)
    result = await call("provision", *PROVISION)
    assert nas.sent("provision") == [
        {
            "job_id": "job-1",
            "fire_at": FIRE_AT,
            "agent_callback_url": CALLBACK,
            "dedup_key": f"job-1:{FIRE_AT}",
        }
    ]
    listed = await call("list_armed")
    assert [(one.job_id, one.schedule_id) for one in listed] == [("job-1", result.schedule_id)]
    assert await call("cancel", "job-1") is None
    assert await call("cancel", "job-1") is None
    assert await call("list_armed") == []


async def test_a_bad_argument_sends_nothing(kind: str, nas: InMemoryNas) -> None:
    call = nas_driver(kind, nas)
    for bad in (("", FIRE_AT, CALLBACK), ("j", "soon", CALLBACK), ("j", FIRE_AT, "nowhere")):
        assert isinstance(await error_of(call("provision", *bad)), InvalidRequestError)
    assert nas.requests == []


async def test_the_headers_of_a_request(kind: str, nas: InMemoryNas) -> None:
    await nas_driver(kind, nas, user_agent="my-service/7")("list_armed")
    headers = nas.requests[0].headers
    assert headers["authorization"] == "Bearer agent-token"
    assert headers["user-agent"].startswith("nas-sdk/")
    assert headers["user-agent"].endswith(" my-service/7")
    assert headers["accept"] == "application/json"
    assert "content-type" not in headers


async def test_a_slash_at_the_end_and_a_prefix(kind: str) -> None:
    for base_url, url in {
        "https://nas.test/": "https://nas.test/api/agent-cron/list",
        "https://nas.test//": "https://nas.test/api/agent-cron/list",
        "https://nas.test:8443/base/": "https://nas.test:8443/base/api/agent-cron/list",
    }.items():
        transport, seen = answering(httpx.Response(200, json={"armed": []}))
        await driver(kind, base_url, transport=transport)("list_armed")
        assert str(seen[0].url) == url


# Retries


@pytest.mark.parametrize(
    "fault",
    [{"status": 503}, {"status": 500}, {"status": 429}, {"drop": "before"}, {"drop": "after"}],
    ids=str,
)
async def test_what_heals_is_tried_again(kind: str, nas: InMemoryNas, fault: Any) -> None:
    nas.fail_next(**fault, times=3)
    call = nas_driver(kind, nas)
    await call("provision", *PROVISION)
    assert len(nas.requests) == 4
    assert list(nas.armed()) == ["job-1"]
    assert call.client.last_response is not None
    assert call.client.last_response.attempts == 4
    assert call.client.last_response.elapsed > 0


@pytest.mark.off_contract("response")
@pytest.mark.parametrize("status", [408, 502, 520, 524])
async def test_a_gateways_statuses_are_tried_again(kind: str, status: int) -> None:
    transport, seen = answering(httpx.Response(status, html="<h1>gateway</h1>"), OK)
    await driver(kind, transport=transport)("provision", *PROVISION)
    assert len(seen) == 2


@pytest.mark.off_contract("response")
@pytest.mark.parametrize("status", [201, 301, 400, 402, 403, 404, 409, 410, 422, 600])
async def test_other_statuses_are_not(kind: str, status: int) -> None:
    transport, seen = answering(httpx.Response(status))
    error = await error_of(driver(kind, transport=transport)("provision", *PROVISION))
    assert (len(seen), error.attempts) == (1, 1)


async def test_the_attempts_end(kind: str, nas: InMemoryNas) -> None:
    nas.fail_next(503, times=9)
    error = await error_of(nas_driver(kind, nas, max_attempts=3)("list_armed"))
    assert isinstance(error, ServerError)
    assert (len(nas.requests), error.attempts) == (3, 3)
    assert error.elapsed == pytest.approx(nas.clock.time() - 1_767_225_600)
    assert "3 attempts" in str(error)


async def test_the_deadline_ends_the_waits(kind: str, nas: InMemoryNas) -> None:
    nas.fail_next(503, headers={"Retry-After": "4"}, times=99)
    error = await error_of(nas_driver(kind, nas, max_attempts=99, deadline=10)("list_armed"))
    assert isinstance(error, ServerError)
    assert error.attempts in (2, 3)  # at 0 and from 4, and if the jitter was small from 8
    assert error.elapsed < 10


async def test_the_deadline_bounds_the_attempt_under_way(kind: str, nas: InMemoryNas) -> None:
    nas.fail_next(delay=1000, times=9)
    error = await error_of(nas_driver(kind, nas, deadline=20)("list_armed"))
    assert isinstance(error, NasTimeoutError)
    assert error.attempts == 2
    assert error.elapsed == pytest.approx(20)
    first, second = (request.extensions["timeout"] for request in nas.requests)
    assert (first["connect"], first["read"], first["pool"]) == (5.0, 15.0, 20.0)
    assert second["read"] < 5


async def test_the_deadline_can_pass_while_a_token_is_fetched(kind: str, nas: InMemoryNas) -> None:
    def slow() -> str:
        nas.clock.sleep(100)
        return "agent-token"

    error = await error_of(nas_driver(kind, nas, token=slow)("list_armed"))
    assert isinstance(error, NasTimeoutError)
    assert (error.attempts, error.elapsed, nas.requests) == (0, 100.0, [])


async def test_no_deadline_and_no_timeout(kind: str, nas: InMemoryNas) -> None:
    nas.fail_next(delay=100_000)
    call = nas_driver(kind, nas, deadline=None, timeout=None)
    assert await call("list_armed") == []
    assert set(nas.requests[0].extensions["timeout"].values()) == {None}


async def test_retry_after_is_obeyed(kind: str, nas: InMemoryNas) -> None:
    start = nas.clock.time()
    nas.fail_next(429, headers={"Retry-After": "7"})
    await nas_driver(kind, nas)("list_armed")
    assert 7 <= nas.clock.time() - start < 8


async def test_a_retry_after_beyond_the_deadline_is_told(kind: str, nas: InMemoryNas) -> None:
    nas.fail_next(429, headers={"Retry-After": "3600"})
    error = await error_of(nas_driver(kind, nas)("list_armed"))
    assert isinstance(error, RateLimitedError)
    assert (error.retry_after, error.code, error.attempts) == (3600.0, "slow_down", 1)


async def test_a_retry_after_of_an_hour_is_never_shortened(kind: str, nas: InMemoryNas) -> None:
    nas.fail_next(429, headers={"Retry-After": "3600"})
    before = nas.clock.time()
    error = await error_of(nas_driver(kind, nas, deadline=None)("list_armed"))
    assert isinstance(error, RateLimitedError)
    assert (error.retry_after, len(nas.requests), nas.clock.time()) == (3600.0, 1, before)


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (httpx.ConnectError("refused"), NasConnectionError),
        (httpx.ReadError(""), NasConnectionError),
        (httpx.RemoteProtocolError("rubbish\r\n"), NasConnectionError),
        (httpx.ProxyError("407"), NasConnectionError),
        (httpx.ConnectTimeout("slow"), NasTimeoutError),
        (httpx.PoolTimeout("full"), NasTimeoutError),
    ],
)
async def test_no_answer(kind: str, raised: Exception, expected: type[NasError]) -> None:
    transport, seen = answering(raised)
    error = await error_of(driver(kind, transport=transport, max_attempts=2)("list_armed"))
    assert type(error) is expected
    assert error.__cause__ is raised
    assert "nas.test" in error.message
    assert type(raised).__name__ in error.message
    assert error.message.isprintable()
    assert len(seen) == 2


# Tokens


async def test_a_refused_token_is_replaced_once(kind: str, nas: InMemoryNas) -> None:
    tokens = iter(["stale", "agent-token"])
    call = nas_driver(kind, nas, token=lambda: next(tokens))
    await call("provision", *PROVISION)
    await call("list_armed")
    assert [request.headers["authorization"][7:] for request in nas.requests] == [
        "stale",
        "agent-token",
        "agent-token",
    ]


async def test_a_second_refusal_is_final(kind: str, nas: InMemoryNas) -> None:
    tokens = iter(["stale", "staler", "stalest"])
    error = await error_of(nas_driver(kind, nas, token=lambda: next(tokens))("list_armed"))
    assert isinstance(error, UnauthorizedError)
    assert (error.code, error.attempts, len(nas.requests)) == ("invalid_token", 2, 2)


@pytest.mark.parametrize("token", ["stale", lambda: "stale"])
async def test_the_same_token_is_not_sent_twice(kind: str, nas: InMemoryNas, token: Any) -> None:
    error = await error_of(nas_driver(kind, nas, token=token)("list_armed"))
    assert isinstance(error, UnauthorizedError)
    assert (error.attempts, len(nas.requests)) == (1, 1)


async def test_the_refresh_does_not_cost_an_attempt(kind: str, nas: InMemoryNas) -> None:
    tokens = iter(["stale", "agent-token"])
    call = nas_driver(kind, nas, token=lambda: next(tokens), max_attempts=1)
    assert await call("list_armed") == []


async def test_a_refresh_between_failures(kind: str, nas: InMemoryNas) -> None:
    nas.fail_next(503)
    nas.fail_next(401)
    nas.fail_next(503)
    tokens = iter(["one", "agent-token"])
    nas.tokens["one"] = "agent"
    call = nas_driver(kind, nas, token=lambda: next(tokens), max_attempts=3)
    assert await call("list_armed") == []
    assert len(nas.requests) == 4


async def test_an_identity_that_is_rejected_is_not_retried(kind: str, nas: InMemoryNas) -> None:
    nas.tokens["agent-token"] = None
    error = await error_of(nas_driver(kind, nas)("list_armed"))
    assert isinstance(error, IdentityRejectedError)
    assert (error.status, error.code, len(nas.requests)) == (403, "invalid_client", 1)


async def test_a_token_source_that_fails_says_what_the_call_has_cost(
    kind: str, nas: InMemoryNas
) -> None:
    tokens = iter(["stale"])

    def source() -> str:
        for token in tokens:
            return token
        raise RuntimeError(SECRET)

    error = await error_of(nas_driver(kind, nas, token=source)("list_armed"))
    assert isinstance(error, TokenError)
    assert error.attempts == 1
    assert SECRET not in str(error)


@pytest.mark.off_contract("response")
async def test_the_token_is_nowhere_to_be_seen(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    echo = {"error": SECRET, "error_description": f"I got {SECRET}"}
    headers = {"x-echo": f"Bearer {SECRET}", "x-request-id": "r-1"}
    transport, _ = answering(httpx.Response(500, json=echo, headers=headers))
    call = driver(kind, transport=transport, token=SECRET)
    with caplog.at_level(logging.DEBUG, "nas_sdk"):
        error = await error_of(call("provision", *PROVISION))
    shown = [caplog.text, repr(call.client), str(error), repr(error), error.code, error.description]
    shown += [error.response.text, str(error.response.headers.raw), repr(error.response)]
    shown += [str(error.response.request.headers.raw), str(vars(call.client)["_settings"])]
    assert not [text for text in shown if SECRET in text]
    assert "[token]" in error.response.text


@pytest.mark.off_contract("response")
async def test_a_token_that_comes_back_escaped_is_not_quoted(kind: str) -> None:
    token = "s3cr3t/t0ken"
    body = rb'{"error": "s3cr3t\/t0ken", "error_description": "\u00733cr3t/t0ken"}'
    transport, _ = answering(httpx.Response(400, content=body))
    error = await error_of(driver(kind, transport=transport, token=token)("list_armed"))
    assert (error.code, error.description) == ("[token]", "[token]")
    assert "t0ken" not in repr(error)


@pytest.mark.off_contract("response")
async def test_a_redirect_is_an_error_and_is_not_followed(kind: str) -> None:
    for location in ("https://evil.test/", "/elsewhere", "//", "http://[", "\x00", "ftp://x"):
        moved = httpx.Response(307, headers={"location": location})
        transport, seen = answering(moved)
        http_client = httpx.Client if kind == "sync" else httpx.AsyncClient
        eager: Any = http_client(transport=transport, follow_redirects=True)
        for call in (
            driver(kind, transport=transport, max_attempts=1),
            driver(kind, http_client=eager, max_attempts=1),
        ):
            error = await error_of(call("list_armed"))
            assert isinstance(error, UnexpectedStatusError | NasConnectionError)
        assert {request.url.host for request in seen} == {"nas.test"}


# Answers


@pytest.mark.off_contract("response")
@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (httpx.Response(200, json={}), ContractError),
        (httpx.Response(200, json=[]), ContractError),
        (httpx.Response(200, html="<h1>Welcome to the hotel</h1>"), ContractError),
        (httpx.Response(204), UnexpectedStatusError),
        (httpx.Response(403, html="<h1>Forbidden</h1>"), ForbiddenError),
        (httpx.Response(503), ServerError),
        (httpx.Response(520, html="<h1>520</h1>"), ServerError),
        (httpx.Response(400, text="{"), BadRequestError),
    ],
)
async def test_bad_answers(kind: str, answer: httpx.Response, expected: type[NasError]) -> None:
    transport, _ = answering(answer)
    error = await error_of(driver(kind, transport=transport)("provision", *PROVISION))
    assert error.status == error.response.status_code == answer.status_code
    assert error.response.content == answer.content
    assert error.response.headers == answer.headers
    assert type(error) is expected


@pytest.mark.off_contract("response")
@pytest.mark.parametrize("status", [200, 503])
async def test_a_broken_content_encoding(kind: str, status: int) -> None:
    def handle(request: httpx.Request) -> httpx.Response:
        return httpx.Response(
            status, headers={"content-encoding": "gzip"}, stream=httpx.ByteStream(b"not gzip")
        )

    call = driver(kind, transport=httpx.MockTransport(handle))
    error = await error_of(call("provision", *PROVISION))
    assert error.response.content == b""
    assert type(error) is (ContractError if status == 200 else ServerError)


@pytest.mark.off_contract("response")
@pytest.mark.parametrize("encoding", ["gzip, gzip", "gzip,gzip", "br", "identity, deflate"])
async def test_layers_that_nobody_asked_for_are_not_undone(kind: str, encoding: str) -> None:
    bomb = gzip.compress(gzip.compress(b" " * 10_000_000))

    def handle(request: httpx.Request) -> httpx.Response:
        headers = {"content-encoding": encoding}
        return httpx.Response(200, headers=headers, stream=httpx.ByteStream(bomb))

    error = await error_of(driver(kind, transport=httpx.MockTransport(handle))("list_armed"))
    assert isinstance(error, ContractError)
    assert "a content encoding that was not asked for" in str(error)


async def test_a_compressed_error_can_be_read(kind: str) -> None:
    body = b'{"error": "invalid_request", "error_description": "job_id: no"}'

    def handle(request: httpx.Request) -> httpx.Response:
        headers = {"content-encoding": "gzip", "content-type": "application/json"}
        return httpx.Response(400, headers=headers, stream=httpx.ByteStream(gzip.compress(body)))

    call = driver(kind, transport=httpx.MockTransport(handle))
    error = await error_of(call("provision", *PROVISION))
    assert (error.field, error.response.content) == ("job_id", body)


@pytest.mark.off_contract("response")
@pytest.mark.parametrize("status", [200, 503])
async def test_an_endless_answer_is_cut_off(kind: str, status: int) -> None:
    sent = 0

    class Endless(httpx.SyncByteStream, httpx.AsyncByteStream):
        def __iter__(self) -> Any:
            nonlocal sent
            while sent < 1000:  # so that a client that reads on fails instead of hanging
                sent += 1
                yield b"x" * 10_000

        async def __aiter__(self) -> Any:
            for chunk in self:
                yield chunk

    transport = httpx.MockTransport(lambda _: httpx.Response(status, stream=Endless()))
    call = driver(kind, transport=transport, max_attempts=1).with_policy(body_max=100_000)
    error = await error_of(call("list_armed"))
    assert type(error) is (ContractError if status == 200 else ServerError)
    assert sent == 11


@pytest.mark.off_contract("response")
async def test_an_answer_that_drips_in_ends_at_the_deadline(kind: str) -> None:
    clock = VirtualClock()

    class Drip(httpx.SyncByteStream, httpx.AsyncByteStream):
        def __iter__(self) -> Any:
            for _ in range(1000):
                clock.sleep(10)
                yield b" "

        async def __aiter__(self) -> Any:
            for chunk in self:
                yield chunk

    transport = httpx.MockTransport(lambda _: httpx.Response(200, stream=Drip()))
    error = await error_of(driver(kind, transport=transport, clock=clock)("list_armed"))
    assert isinstance(error, NasTimeoutError)
    assert (error.attempts, error.elapsed) == (1, 60.0)


async def test_the_request_id(kind: str) -> None:
    headers = {"x-request-id": "req-7"}
    answers = [
        httpx.Response(200, json={"schedule_id": "x"}, headers=headers),
        httpx.Response(400, json={"error": "invalid_request"}, headers=headers),
    ]
    transport, _ = answering(*answers)
    call = driver(kind, transport=transport)
    await call("provision", *PROVISION)
    assert call.client.last_response is not None
    assert call.client.last_response.request_id == "req-7"
    assert (await error_of(call("provision", *PROVISION))).request_id == "req-7"


@pytest.mark.off_contract("response")
async def test_the_request_id_of_an_answer_that_breaks_the_contract(kind: str) -> None:
    answer = httpx.Response(200, json={"schedule": 7}, headers={"X-Request-Id": "req-8"})
    error = await error_of(driver(kind, transport=answering(answer)[0])("provision", *PROVISION))
    assert isinstance(error, ContractError)
    assert error.request_id == "req-8"


async def test_the_last_response_of_a_call_that_fails(kind: str) -> None:
    transport, _ = answering(httpx.Response(403, json={"error": "forbidden"}))
    call = driver(kind, transport=transport)
    await error_of(call("provision", *PROVISION))
    assert call.client.last_response is not None
    assert call.client.last_response.status == 403


HEADERS = st.lists(
    st.tuples(
        st.sampled_from(
            ["location", "set-cookie", "content-type", "retry-after", "date", "x-request-id", "x"]
        ),
        st.text(st.characters(max_codepoint=255, exclude_characters="\r\n"), max_size=20)
        | st.sampled_from(["https://[", "//", "http://evil.test:0", "text/html; charset=\xff"]),
    ),
    max_size=4,
)


@pytest.mark.off_contract("response")
@settings(deadline=None)
@given(
    st.sampled_from([200, 204, 301, 307, 308, 400, 401, 403, 429, 503]),
    HEADERS,
    st.sampled_from([b"", b"{}", b'{"ok": true}', b"\xff"]),
)
def test_no_head_of_an_answer_escapes_the_error_tree(
    status: int, headers: list[tuple[str, str]], body: bytes
) -> None:
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers]
    transport = httpx.MockTransport(lambda _: httpx.Response(status, headers=raw, content=body))
    client = NasClient("https://nas.test", SECRET, transport=transport, clock=VirtualClock())
    try:
        client.cancel("job-1")
    except NasError as error:
        assert str(error).isprintable()  # noqa: PT017 - it may also succeed
    else:
        assert (status, body) == (200, b'{"ok": true}')


@pytest.mark.off_contract("response")
async def test_a_redirect_with_a_cookie_in_an_unknown_encoding(kind: str) -> None:
    raw = [(b"location", b"/"), (b"set-cookie", b"a=\x80; Path=/")]
    transport = httpx.MockTransport(lambda _: httpx.Response(301, headers=raw))
    error = await error_of(driver(kind, transport=transport)("list_armed"))
    assert isinstance(error, UnexpectedStatusError)
    make: Any = httpx.Client if kind == "sync" else httpx.AsyncClient
    theirs = make(transport=transport)  # it reads cookies, and cannot read this one
    error = await error_of(driver(kind, http_client=theirs)("list_armed"))
    assert isinstance(error, NasConnectionError)


@pytest.mark.off_contract("response")
async def test_no_part_of_the_token_is_left_by_cutting(kind: str) -> None:
    for room in range(280, 310):
        echo = {"error_description": "x" * room + SECRET}
        transport, _ = answering(httpx.Response(400, json=echo))
        error = await error_of(driver(kind, transport=transport, token=SECRET)("list_armed"))
        assert "s3" not in str(error)


# Watching


async def test_hooks(kind: str, nas: InMemoryNas) -> None:
    events: list[Any] = []
    note = events.append
    call = nas_driver(kind, nas, on_request=note, on_response=note, on_retry=note)
    nas.fail_next(drop="before")
    nas.fail_next(503)
    await call("cancel", "job-1")
    assert [type(event) for event in events] == [
        RequestEvent,
        RetryEvent,
        RequestEvent,
        ResponseEvent,
        RetryEvent,
        RequestEvent,
        ResponseEvent,
    ]
    assert events[0] == ("cancel", "POST", "/api/agent-cron/cancel", 1)
    assert isinstance(events[1].error, NasConnectionError)
    assert events[4].error.status == 503
    assert (events[6].status, events[6].attempts, events[6].date) == (200, 3, None)


async def test_an_asynchronous_hook_is_awaited_or_refused(kind: str, nas: InMemoryNas) -> None:
    heard: list[Any] = []

    async def hook(event: Any) -> None:
        await asyncio.sleep(0)
        heard.append(event)

    class Hook:
        async def __call__(self, event: Any) -> None:
            await hook(event)

    for callback, name in itertools.product(
        (hook, Hook(), lambda event: hook(event)), ("on_request", "on_response", "on_retry")
    ):
        nas.fail_next(503)
        heard.clear()
        if kind == "async":
            await nas_driver(kind, nas, **{name: callback})("list_armed")
            assert heard
            continue
        with pytest.raises(ConfigurationError):
            await nas_driver(kind, nas, **{name: callback})("list_armed")
        nas.faults._ordered.clear()


async def test_a_response_says_what_time_it_is_at_nas(kind: str, nas: InMemoryNas) -> None:
    events: list[ResponseEvent] = []
    call = nas_driver(kind, nas, on_response=events.append)
    date = "Thu, 18 Jun 2026 12:34:56 GMT"
    nas.fail_next(body={"ok": True}, headers={"Date": date})
    await call("cancel", "job-1")
    assert [event.date for event in events] == [date]


async def test_one_line_a_call(
    kind: str, nas: InMemoryNas, caplog: pytest.LogCaptureFixture
) -> None:
    call = nas_driver(kind, nas)
    told = {"X-Request-Id": "r-1"}
    with caplog.at_level(logging.DEBUG, "nas_sdk"):
        nas.fail_next(body={"ok": True}, headers=told, delay=0.25)
        await call("cancel", "job-1")
        nas.fail_next(400, headers=told, delay=2)
        await error_of(call("list_armed"))
        nas.fail_next(503)
        await call("list_armed")
    lines = [(record.levelname, record.getMessage()) for record in caplog.records]
    assert [level for level, _ in lines] == ["DEBUG", "DEBUG", "INFO", "DEBUG"]
    assert lines[0][1] == "POST /api/agent-cron/cancel 200 attempts=1 ms=250.0 request_id=r-1"
    assert lines[1][1] == (
        "GET /api/agent-cron/list BadRequestError attempts=1 ms=2000.0 request_id=r-1"
    )
    assert lines[2][1].startswith("list_armed: NAS answered 503 ")
    assert lines[3][1].startswith("GET /api/agent-cron/list 200 attempts=2 ms=")


def test_nas_log_adds_one_handler_however_often() -> None:
    before = (LOGGER.level, LOGGER.handlers.copy())
    try:
        configure_logging("debug")
        configure_logging("debug")
        added = [each for each in LOGGER.handlers if each not in before[1]]
        assert (len(added), LOGGER.level) == (1, logging.DEBUG)
    finally:
        LOGGER.setLevel(before[0])
        LOGGER.handlers[:] = before[1]


async def test_the_last_response_is_that_of_the_task(nas: InMemoryNas) -> None:
    async with nas.async_client() as client:

        async def one(call: Any) -> str:
            await call
            await asyncio.sleep(0)
            assert client.last_response is not None
            return client.last_response.operation

        last = await asyncio.gather(one(client.cancel("a")), one(client.list_armed()))
    assert list(last) == ["cancel", "list_armed"]


# Setting up


async def test_views_share_the_connections_and_the_token(kind: str, nas: InMemoryNas) -> None:
    tokens = iter(["stale", "agent-token"])
    owner = nas_driver(kind, nas, token=lambda: next(tokens))
    view = Driver(owner.client.with_options(timeout=1.0, max_attempts=1, deadline=None))
    await view("list_armed")
    await owner("list_armed")
    first, last = nas.requests[0], nas.requests[-1]
    assert set(first.extensions["timeout"].values()) == {1.0}
    assert last.extensions["timeout"]["read"] == 15.0
    assert last.headers["authorization"] == "Bearer agent-token"
    nas.fail_next(503)
    assert (await error_of(view("list_armed"))).attempts == 1
    await view.close()
    await owner("list_armed")
    await owner.close()
    with pytest.raises(RuntimeError, match="closed"):
        await view("list_armed")


async def test_the_token_of_a_view_expires_by_the_clock_of_the_client(kind: str) -> None:
    clock = VirtualClock()
    ends = clock.time() + 3600.0
    tokens = iter([AccessToken("first-token", ends), AccessToken("second-token", ends + 3600.0)])
    transport, seen = answering(OK, OK)
    owner = driver(kind, transport=transport, clock=clock)
    view = Driver(owner.client.with_options(token=lambda: next(tokens)))
    await view("provision", *PROVISION)
    clock.sleep(3600.0)
    await view("provision", *PROVISION)
    assert seen[1].headers["authorization"] == "Bearer second-token"


async def test_options_that_are_not_given_stay(kind: str, nas: InMemoryNas) -> None:
    call = nas_driver(kind, nas, max_attempts=2, deadline=9.0, timeout=3.0)
    view = Driver(call.client.with_options(max_attempts=1).with_options())
    nas.fail_next(503)
    assert (await error_of(view("list_armed"))).attempts == 1
    assert nas.requests[0].extensions["timeout"]["read"] == 3.0


@pytest.mark.parametrize(
    "options",
    [
        {"max_attempts": 0},
        {"deadline": 0},
        {"deadline": -1.0},
        {"deadline": float("nan")},
        {"user_agent": "a\r\nX-Evil: 1"},
        {"user_agent": "café"},
        {"base_url": "nas.test"},
        {"base_url": "ftp://nas.test"},
        {"base_url": "https://"},
        {"base_url": "https://nas.test:99999999"},
        {"base_url": "https://nas.test:0"},
        {"base_url": "https://nas..test"},
        {"base_url": f"https://{'a' * 64}.test"},
        {"base_url": "https://user:pass@nas.test"},
        {"base_url": "https://nas.test?x=1"},
        {"base_url": "https://nas.test#x"},
        {"base_url": "http://nas.test"},
        {"base_url": "http://127.0.0.1.nas.test"},
        {"base_url": "http://localhost.nas.test"},
        {"base_url": "http://[::ffff:8.8.8.8]"},
        {"base_url": "https://[::1"},
        {"base_url": "https://nas\x00.test"},
        {"base_url": 7},
        {"token": 7},
    ],
    ids=str,
)
def test_bad_settings(kind: str, options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        driver(kind, **options)
    assert "pass@" not in str(caught.value)


@pytest.mark.parametrize(
    "base_url",
    ["http://127.0.0.1:1", "http://127.8.9.1", "http://[::1]:1", "http://localhost:1"],
)
def test_plain_http_is_for_this_machine(kind: str, base_url: str) -> None:
    driver(kind, base_url)


def test_plain_http_can_be_allowed(kind: str) -> None:
    with pytest.raises(ConfigurationError, match="allow_http=True"):
        driver(kind, "http://nas.internal")
    driver(kind, "http://nas.internal", allow_http=True)


async def test_the_environment(
    kind: str, nas: InMemoryNas, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NAS_BASE_URL", nas.base_url)
    monkeypatch.setenv("NAS_TOKEN", "agent-token")
    call = driver(kind, None, None, transport=nas.transport())
    assert await call("list_armed") == []


@pytest.mark.parametrize("missing", ["NAS_BASE_URL", "NAS_TOKEN"])
@pytest.mark.parametrize("empty", [True, False])
def test_nothing_given(
    kind: str, missing: str, empty: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("NAS_BASE_URL", "NAS_TOKEN"):
        monkeypatch.setenv(name, "https://nas.test")
    monkeypatch.setenv(missing, "") if empty else monkeypatch.delenv(missing)
    with pytest.raises(ConfigurationError, match=f"or set {missing}"):
        driver(kind, None, None)


async def test_an_http_client_of_the_callers(kind: str, nas: InMemoryNas) -> None:
    make: Any = httpx.Client if kind == "sync" else httpx.AsyncClient
    theirs = make(
        transport=nas.transport(),
        headers={"X-Gateway": "7", "Authorization": "Basic eDp5", "User-Agent": "mine"},
        auth=("user", "password"),
    )
    call = driver(kind, http_client=theirs, clock=nas.clock)
    await call("list_armed")
    headers = nas.requests[0].headers
    assert headers["x-gateway"] == "7"
    assert headers.get_list("authorization") == ["Bearer agent-token"]
    (agent,) = headers.get_list("user-agent")
    assert agent.startswith("nas-sdk/")
    await call.close()
    await call("list_armed")
    assert not theirs.is_closed


async def test_context_managers(nas: InMemoryNas) -> None:
    with nas.client() as client:
        client.list_armed()
    async with nas.async_client() as async_client:
        await async_client.list_armed()
    with pytest.raises(RuntimeError, match="closed"):
        client.list_armed()
    with pytest.raises(RuntimeError, match="closed"):
        await async_client.list_armed()


async def test_the_system_clock() -> None:
    clock = Clock()
    before = clock.monotonic()
    clock.sleep(0.001)
    await clock.sleep_async(0.001)
    assert clock.monotonic() - before >= 0.002
    assert clock.time() > 1_700_000_000


def test_the_call_is_not_encoded_twice() -> None:
    call = operations.cancel("job-1")
    assert call.body == b'{"job_id": "job-1"}'
