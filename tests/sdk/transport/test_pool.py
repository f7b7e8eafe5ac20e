"""The clients over real connections."""

import asyncio
import json
import ssl
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from nas_sdk import (
    AsyncNasClient,
    ContractError,
    NasClient,
    NasConnectionError,
    NasTimeoutError,
    UnexpectedStatusError,
)
from nas_sdk._core.config import trust
from nas_sdk._transport import dial
from nas_sdk.testing import VirtualClock
from tests.support.both_clients import KINDS, Driver
from tests.support.loopback import Answer, Last, Loopback, Seen, http_answer, loopback
from tests.support.patience import PATIENCE_S

DONE = http_answer(b'{"ok": true}')


class QuickClock(VirtualClock):
    """Sleeps take no time; used where only the waits between attempts are virtual."""


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def client_of(kind: str, server: Loopback | str, **options: Any) -> Driver:
    url = server if isinstance(server, str) else server.url
    options.setdefault("clock", QuickClock())
    make: Any = NasClient if kind == "sync" else AsyncNasClient
    return Driver(make(url, "agent-token", **options))


def always(answer: bytes | None) -> Answer:
    return lambda seen: answer


async def test_calls_in_a_row_use_one_connection(kind: str) -> None:
    with loopback(always(DONE)) as server:
        call = client_of(kind, server)
        for _ in range(5):
            await call("cancel", "job-1")
        await call.close()
    assert (server.connections, len(server.seen)) == (1, 5)
    assert json.loads(server.seen[0].body) == {"job_id": "job-1"}
    assert server.seen[0].line == "POST /api/agent-cron/cancel HTTP/1.1"


async def test_a_batch_uses_no_more_than_the_pool(kind: str) -> None:
    with loopback(always(DONE)) as server:
        call = client_of(kind, server)
        outcomes = await call("cancel_many", [f"job-{number}" for number in range(200)])
        await call.close()
    assert all(outcome.ok for outcome in outcomes)
    assert server.connections <= (32 if kind == "sync" else 16)
    assert len(server.seen) == 200


async def test_more_calls_than_connections_wait_their_turn() -> None:
    with loopback(always(DONE)) as server:
        async with AsyncNasClient(server.url, "agent-token") as client:
            await asyncio.gather(*[client.cancel(f"job-{number}") for number in range(100)])
        assert server.connections <= 16
        with NasClient(server.url, "agent-token") as sync_client, ThreadPoolExecutor(64) as pool:
            list(pool.map(sync_client.cancel, [f"job-{number}" for number in range(200)]))
    assert len(server.seen) == 300
    assert server.connections <= 16 + 32


async def test_connections_that_the_server_closed_are_replaced(kind: str) -> None:
    with loopback(always(DONE)) as server:
        call = client_of(kind, server)
        await call("cancel", "job-1")
        server.drop_connections()
        await call("cancel", "job-2")
        await call.close()
    assert server.connections == 2


async def has_ended(connection: Any) -> None:
    """Wait until the end of a connection that the server closed has arrived."""
    for _ in range(6000):
        if connection.http.has_expired():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("the end of the connection has not arrived")


async def test_idle_connections_are_let_go(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that the server closed, by the next exchange; and those nobody used for long."""
    with loopback(always(DONE)) as server:
        url, make = httpx.URL(server.url), dial.pool if kind == "sync" else dial.async_pool
        call = client_of(kind, server, transport=make(url, 8, trust(url), None, sweep=0.0))
        await call("cancel_many", [f"job-{number}" for number in range(50)])
        pool: Any = call.client._http._transport._pool  # type: ignore[union-attr]

        def idle() -> Any:
            return pool._idle if kind == "sync" else pool.here().idle

        assert len(idle()) > 1
        server.drop_connections()
        for connection in idle():
            await has_ended(connection)
        await call("cancel", "job-1")
        assert len(idle()) == 1
        monkeypatch.setattr(idle()[0].http._connection, "_expire_at", 0.0)
        before = server.connections
        await call("cancel", "job-2")
        assert server.connections == before + 1
        assert len(idle()) == 1
        await call.close()


async def test_an_answer_that_breaks_off_is_tried_again(kind: str) -> None:
    answers = iter([Last(DONE[:-4]), None, b"rubbish\r\n\r\n", DONE])
    with loopback(lambda seen: next(answers)) as server:
        call = client_of(kind, server)
        await call("cancel", "job-1")
        assert call.client.last_response is not None
        assert call.client.last_response.attempts == 4
        await call.close()


@pytest.mark.off_contract("response")
async def test_a_redirect_takes_the_token_nowhere(kind: str) -> None:
    with loopback(always(DONE)) as other:
        moved = http_answer(b"", "307 Temporary Redirect", f"location: {other.url}/\r\n")
        with loopback(always(moved)) as server:
            call = client_of(kind, server)
            with pytest.raises(UnexpectedStatusError, match="307"):
                await call("cancel", "job-1")
            await call.close()
    assert (len(server.seen), other.seen) == (1, [])


async def test_a_refused_connection(kind: str) -> None:
    with loopback(always(DONE)) as server:
        pass
    call = client_of(kind, server.url, max_attempts=2)
    with pytest.raises(NasConnectionError, match="ConnectError") as caught:
        await call("cancel", "job-1")
    assert caught.value.attempts == 2
    await call.close()


async def test_silence_times_out_and_frees_the_connection(kind: str) -> None:
    release = threading.Event()

    def answer(seen: Seen) -> bytes | None:
        if b"hang" in seen.body:
            release.wait(PATIENCE_S)
            return None
        return DONE

    with loopback(answer) as server:
        call = client_of(kind, server, timeout=0.05, max_attempts=1)
        for _ in range(40):  # more than there are connections
            with pytest.raises(NasTimeoutError):
                await call("cancel", "hang")
        patient = Driver(call.client.with_options(timeout=PATIENCE_S))
        await patient("cancel", "job-1")
        release.set()
        await call.close()


@pytest.mark.off_contract("response")
async def test_an_answer_that_is_cut_off_frees_the_connection(
    kind: str,
) -> None:
    with loopback(always(http_answer(b" " * 200_000))) as server:
        call = client_of(kind, server, deadline=10, clock=None).with_policy(body_max=1000)
        for _ in range(40):  # more than there are connections
            with pytest.raises(ContractError, match="longer than 1000 bytes"):
                await call("list_armed")
        await call.close()
    assert server.connections == 40


async def test_a_full_pool_is_waited_for_and_no_longer() -> None:
    request = httpx.Request("GET", "http://127.0.0.1:9/", extensions={"timeout": {"pool": 0.01}})
    with loopback(always(DONE)) as server:
        url = httpx.URL(server.url)
        pool = dial.pool(url, 1, trust(url), None)
        async_pool = dial.async_pool(url, 1, trust(url), None)
        first = httpx.Request("GET", server.url)
        response = pool.handle_request(first)
        with pytest.raises(httpx.PoolTimeout):
            pool.handle_request(request)
        response.close()
        response.close()  # frees the connection only once
        assert pool._turn.value == 1
        taken = pool.handle_request(first)
        with pytest.raises(httpx.PoolTimeout):
            pool.handle_request(request)
        assert taken.read() == b'{"ok": true}'
        pool.close()

        response = await async_pool.handle_async_request(first)
        with pytest.raises(httpx.PoolTimeout):
            await async_pool.handle_async_request(request)
        await response.aclose()
        await response.aclose()
        assert async_pool._turn.value == 1
        taken = await async_pool.handle_async_request(first)
        with pytest.raises(httpx.PoolTimeout):
            await async_pool.handle_async_request(request)
        assert await taken.aread() == b'{"ok": true}'
        await async_pool.aclose()


async def test_a_cancelled_call_frees_its_connection() -> None:
    arrived, release = threading.Event(), threading.Event()

    def answer(seen: Seen) -> bytes | None:
        if b"hang" in seen.body:
            arrived.set()
            release.wait(PATIENCE_S)
            return None
        return DONE

    with loopback(answer) as server:
        url = httpx.URL(server.url)
        pool = dial.async_pool(url, 1, trust(url), None)
        async with AsyncNasClient(server.url, "t", transport=pool) as client:
            task = asyncio.create_task(client.cancel("hang"))
            await asyncio.to_thread(arrived.wait, 30)
            waiting = asyncio.create_task(client.cancel("job-1"))
            await asyncio.sleep(0)
            task.cancel()
            await waiting
            with pytest.raises(asyncio.CancelledError):
                await task
        release.set()


def test_only_tls_reads_the_certificates() -> None:
    plain, secure = (trust(httpx.URL(f"{scheme}://nas.test")) for scheme in ("http", "https"))
    assert secure.cert_store_stats()["x509"] > 0
    assert plain.cert_store_stats()["x509"] == 0
    assert plain.verify_mode == secure.verify_mode == ssl.CERT_REQUIRED
