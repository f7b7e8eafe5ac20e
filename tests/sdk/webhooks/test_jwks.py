"""The key cache: where it fetches from, what it takes, how threads and tasks wait for it."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
import threading
from collections.abc import Callable, Iterator
from itertools import count
from types import SimpleNamespace

import httpx
import pytest

from nas_sdk.errors import ConfigurationError
from nas_sdk.webhooks import JwksCache
from tests.support.jwks_server import JwksServer, jwks_server, rescue
from tests.support.loopback import Seen, loopback
from tests.support.patience import PATIENCE_S
from tests.support.tokens import key_set

URL = "https://nas.example.com/.well-known/jwks.json"


@pytest.fixture
def server() -> Iterator[JwksServer]:
    with jwks_server(key_set("p256")) as server:
        yield server


def cache_of(answer: Callable[[httpx.Request], httpx.Response], url: str = URL) -> JwksCache:
    return JwksCache(url, http_client=httpx.Client(transport=httpx.MockTransport(answer)))


def document() -> bytes:
    return json.dumps(key_set("p256")).encode()


def test_keys_are_fetched_once_and_kept(server: JwksServer) -> None:
    cache = JwksCache(server.url)
    assert not cache.is_warm
    first = cache.get("p256")
    assert first is not None
    assert cache.get("p256") is first
    assert cache.is_warm
    assert server.fetches == 1


async def test_tasks_and_threads_share_what_was_fetched(server: JwksServer) -> None:
    cache = JwksCache(server.url)
    first = await cache.get_async("p256")
    assert first is not None
    assert await asyncio.to_thread(cache.get, "p256") is first
    assert server.fetches == 1


def test_one_cache_serves_one_event_loop_after_another(server: JwksServer) -> None:
    cache = JwksCache(server.url)
    assert asyncio.run(cache.get_async("p256")) is not None
    assert asyncio.run(cache.get_async("p256")) is not None
    assert server.fetches == 1


def test_prefetching_does_not_wait_and_spares_the_first_caller_the_fetch(
    server: JwksServer,
) -> None:
    cache = JwksCache(server.url)
    server.close()
    cache.prefetch()
    cache.prefetch()
    assert server.arrived.acquire(timeout=PATIENCE_S)
    server.open()
    assert cache.get("p256") is not None
    cache.prefetch()
    assert server.fetches == 1


async def test_a_task_that_is_cancelled_leaves_the_fetch_to_the_others(
    server: JwksServer,
) -> None:
    cache = JwksCache(server.url)
    server.close()
    first, second = (asyncio.create_task(cache.get_async("p256")) for _ in range(2))
    assert await asyncio.to_thread(server.arrived.acquire, timeout=PATIENCE_S)
    first.cancel()
    server.open()
    assert await second is not None
    assert first.cancelled()
    assert server.fetches == 1


def test_a_loop_that_is_gone_when_the_keys_arrive_disturbs_nobody(
    server: JwksServer, caplog: pytest.LogCaptureFixture
) -> None:
    cache = JwksCache(server.url)
    server.close()

    async def leave() -> None:
        task = asyncio.create_task(cache.get_async("p256"))
        assert await asyncio.to_thread(server.arrived.acquire, timeout=PATIENCE_S)
        task.cancel()

    asyncio.run(leave())
    server.open()
    assert cache.get("p256") is not None
    assert not [line for line in caplog.records if line.levelno >= logging.WARNING]


def test_the_wait_for_the_first_keys_ends_when_they_arrive(server: JwksServer) -> None:
    cache = JwksCache(server.url, timeout=PATIENCE_S, max_wait=PATIENCE_S)
    with rescue(server.gate) as needed:
        assert cache.get("p256") is not None
        assert not needed.is_set()


async def test_a_task_waits_no_longer_than_agreed(server: JwksServer) -> None:
    cache = JwksCache(server.url, timeout=60, max_wait=0.02)
    server.close()
    with rescue(server.gate) as needed:
        assert await cache.get_async("p256") is None
        assert await cache.get_async("p256") is None
        assert not needed.is_set()


def test_keys_that_arrive_renew_the_patience_for_the_next_outage(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Every look at this clock costs 100 s, so that the first wait uses all patience up.
    monkeypatch.setattr(
        "nas_sdk.webhooks.jwks.time", SimpleNamespace(monotonic=count(0, 100).__next__)
    )
    now, answers = [1e9], [b"", document(), document()]

    def fetch() -> bytes:
        threading.Event().wait(0.2)  # slower than a caller that does not wait
        return answers.pop(0)

    cache = JwksCache(
        fetch,
        lifespan=10,
        stale_for=10,
        timeout=1e6,
        max_wait=60,
        clock=lambda: now[0],
    )
    assert cache.get("p256") is None
    now[0] += 30
    cache.prefetch()
    join_fetches()
    assert cache.is_warm
    now[0] += 20
    assert not cache.is_warm
    assert cache.get("p256") is not None


Look = Callable[[JwksCache], object]


def in_thread(cache: JwksCache) -> object:
    return cache.get("p256")


def in_loop(cache: JwksCache) -> object:
    return asyncio.run(cache.get_async("p256"))


def after_an_outage(server: JwksServer, look: Look, fetch_seconds: float) -> JwksCache:
    """A cache whose first look came to nothing, and whose next one may fetch."""
    now = [1e9]

    def fetch() -> bytes:
        if now[0] == 1e9:
            raise OSError
        threading.Event().wait(fetch_seconds)
        server.gate.wait()
        return document()

    cache = JwksCache(fetch, timeout=PATIENCE_S, max_wait=PATIENCE_S, clock=lambda: now[0])
    assert look(cache) is None
    now[0] += 31
    return cache


@pytest.mark.parametrize("look", [in_thread, in_loop])
def test_a_short_wait_leaves_patience_for_another(server: JwksServer, look: Look) -> None:
    cache = after_an_outage(server, look, 0.2)  # slower than a caller that does not wait
    assert look(cache) is not None


@pytest.mark.parametrize("look", [in_thread, in_loop])
def test_a_long_wait_uses_the_patience_up(
    server: JwksServer, look: Look, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Every look at this clock costs 100 s.
    monkeypatch.setattr(
        "nas_sdk.webhooks.jwks.time", SimpleNamespace(monotonic=count(0, 100).__next__)
    )
    cache = after_an_outage(server, look, 0)
    server.close()
    with rescue(server.gate) as needed:
        assert look(cache) is None
        assert not needed.is_set()


def test_nobody_waits_for_a_hung_fetch_longer_than_for_any() -> None:
    gate, holds_exit_up = threading.Event(), []

    def hang() -> bytes:
        holds_exit_up.append(not threading.current_thread().daemon)
        gate.wait()
        return document()

    cache = JwksCache(hang, timeout=0.01)
    with rescue(gate) as needed:
        assert cache.get("p256") is None
        assert not needed.is_set()
    gate.set()
    join_fetches()
    assert holds_exit_up == [False]


def test_a_hung_fetch_is_given_up_and_another_one_made() -> None:
    now, gate, calls = [1e9], threading.Event(), []

    def fetch() -> bytes:
        calls.append(now[0])
        if len(calls) == 1:
            gate.wait()
        return document()

    cache = JwksCache(fetch, clock=lambda: now[0])
    cache.prefetch()
    now[0] += 19.9
    cache.prefetch()
    now[0] += 0.1
    with rescue(gate) as needed:
        assert cache.get("p256") is not None
        assert not needed.is_set()
    gate.set()
    join_fetches()
    assert calls == [1e9, 1e9 + 20.0]


def test_keys_are_fresh_for_5_minutes_and_good_for_a_day_more() -> None:
    now, calls = [1e9], []

    def fetch() -> bytes:
        calls.append(now[0])
        return document() if len(calls) == 1 else b""

    cache = JwksCache(fetch, clock=lambda: now[0])
    assert cache.get("p256") is not None
    for age in (299.9, 300.0, 300.0 + 86_399.9):
        now[0] = 1e9 + age
        cache.prefetch()
        join_fetches()
        assert cache.is_warm
    assert calls == [1e9, 1e9 + 300.0, 1e9 + 86_699.9]
    now[0] = 1e9 + 86_700.0
    assert not cache.is_warm


def join_fetches() -> None:
    """Wait for the fetches under way."""
    for thread in threading.enumerate():
        if thread.name == "nas-jwks":
            thread.join()


@pytest.mark.parametrize("error", [OSError("secret"), RecursionError("secret"), KeyError("secret")])
def test_a_function_may_raise_anything_and_nothing_of_it_is_told(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    def fetch() -> bytes:
        raise error

    cache = JwksCache(fetch)
    assert cache.get("p256") is None
    assert f"{type(error).__name__}; every fire is refused until then" in caplog.text
    assert "secret" not in caplog.text


def test_one_warning_per_outage(caplog: pytest.LogCaptureFixture) -> None:
    now, answers = [1e9], [b"", document(), b"", b"", b"", document(), b""]
    cache = JwksCache(lambda: answers.pop(0), lifespan=0, clock=lambda: now[0])
    while answers:
        cache.prefetch()
        join_fetches()
        now[0] += 31
    told = [line.message for line in caplog.records if line.levelno >= logging.WARNING]
    assert [text.rpartition("; ")[2] for text in told] == [
        "every fire is refused until then",
        "the last ones stay in use",
        "the last ones stay in use",
    ]


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b"{}", b'{"keys": []}', b'{"keys": [{}]}', b"[" * 100_000]
)
def test_an_answer_that_is_no_key_set_fails_and_keeps_the_last_keys(body: bytes) -> None:
    bodies, now = [document(), body], [1e9]
    cache = JwksCache(lambda: bodies.pop(0), clock=lambda: now[0])
    first = cache.get("p256")
    now[0] += 301
    cache.prefetch()
    join_fetches()
    assert bodies == []
    assert cache.get("p256") is first is not None


def refused(answer: httpx.Response, caplog: pytest.LogCaptureFixture) -> str:
    caplog.set_level(logging.DEBUG, "nas_sdk")
    assert cache_of(lambda request: answer).get("p256") is None
    return caplog.text


@pytest.mark.parametrize("encoding", ["gzip, gzip", "gzip,gzip,gzip", "br", "identity, br"])
def test_an_encoding_that_nobody_asked_for_is_not_undone(
    encoding: str, caplog: pytest.LogCaptureFixture
) -> None:
    bomb = gzip.compress(gzip.compress(b" " * 10_000_000))
    answer = httpx.Response(
        200, headers={"Content-Encoding": encoding}, stream=httpx.ByteStream(bomb)
    )
    assert "a content encoding that was not asked for" in refused(answer, caplog)


def test_one_layer_that_becomes_too_much_is_cut_off(caplog: pytest.LogCaptureFixture) -> None:
    stream = httpx.ByteStream(gzip.compress(b" " * 10_000_000))
    answer = httpx.Response(200, headers={"Content-Encoding": "gzip"}, stream=stream)
    assert "longer than" in refused(answer, caplog)


def test_a_key_set_whose_head_drips_is_given_up() -> None:
    """Over a real connection, where every byte comes in time and the whole never."""
    ended = threading.Event()

    def drip(seen: Seen) -> Iterator[bytes]:
        yield b"HTTP/1.1 200 OK\r\n"
        for _ in range(1000):
            yield b"x-more: 1\r\n"
            if ended.wait(0.05):
                return

    with loopback(drip) as server:
        cache = JwksCache(f"{server.url}/jwks", timeout=0.3)
        cache.prefetch()
        join_fetches()
        ended.set()
    assert not cache.is_warm


@pytest.mark.off_contract("response")
def test_a_head_that_drips_to_a_client_of_the_callers_costs_two_threads_at_most() -> None:
    """Nothing ends such a fetch, as each byte comes in time."""
    ended, now = threading.Event(), [1e9]

    def drip(seen: Seen) -> Iterator[bytes]:
        while not ended.wait(0.05):
            yield b"HTTP/1.1 103 Early Hints\r\n\r\n"

    with loopback(drip) as server, httpx.Client() as client:
        cache = JwksCache(f"{server.url}/jwks", http_client=client, clock=lambda: now[0])
        for _ in range(10):
            cache.prefetch()
            now[0] += 20
        fetches = sum(thread.name == "nas-jwks" for thread in threading.enumerate())
        ended.set()
        server.drop_connections()
        join_fetches()
    assert fetches == 2


def test_a_redirect_is_not_followed(caplog: pytest.LogCaptureFixture) -> None:
    asked = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        return httpx.Response(302, headers={"Location": "https://evil.example/jwks.json"})

    client = httpx.Client(transport=httpx.MockTransport(answer), follow_redirects=True)
    assert JwksCache(URL, http_client=client).get("p256") is None
    assert asked == [URL]
    assert "status 302" in caplog.text


@pytest.mark.parametrize("status", [204, 206, 304, 403, 404, 500, 520])
def test_any_status_but_200_fails(status: int, caplog: pytest.LogCaptureFixture) -> None:
    assert f"status {status}" in refused(httpx.Response(status, content=document()), caplog)


def test_an_answer_without_end_is_cut_off(caplog: pytest.LogCaptureFixture) -> None:
    sent = []

    def endless() -> Iterator[bytes]:
        while True:
            sent.append(1)
            yield b" " * 65_536

    assert "longer than" in refused(httpx.Response(200, content=endless()), caplog)
    assert len(sent) == 5


def test_an_answer_that_drips_is_cut_off(caplog: pytest.LogCaptureFixture) -> None:
    def drip() -> Iterator[bytes]:
        while True:
            yield b" "
            threading.Event().wait(0.001)

    client = httpx.Client(
        transport=httpx.MockTransport(lambda request: httpx.Response(200, content=drip()))
    )
    JwksCache(URL, timeout=0.01, http_client=client).prefetch()
    join_fetches()
    assert "not all of it in 0.01 s" in caplog.text


def test_nobody_answering_is_a_failure_without_a_traceback(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("secret")

    assert cache_of(answer).get("p256") is None
    assert "ConnectError: no answer" in caplog.text
    assert "Traceback" not in caplog.text
    assert "secret" not in caplog.text


def test_a_request_says_who_we_are_and_wants_nothing_compressed() -> None:
    seen: list[httpx.Headers] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers)
        return httpx.Response(200, content=document())

    assert cache_of(answer).get("p256") is not None
    assert seen[0]["User-Agent"].startswith("nas-sdk/")
    assert seen[0]["Accept"] == "application/json"
    assert seen[0]["Accept-Encoding"] == "identity"


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://nas.example.com/jwks.json", "plain http"),
        ("http://127.0.0.1.example.com/jwks.json", "plain http"),
        ("http://10.0.0.1/jwks.json", "plain http"),
        ("ftp://nas.example.com/jwks.json", "absolute https"),
        ("/jwks.json", "absolute https"),
        ("", "absolute https"),
        ("https://", "absolute https"),
        ("https://user:word@nas.example.com/", "user info"),
        ("https://nas.example.com:port/", "not a URL"),
    ],
)
def test_a_url_that_will_not_do_is_refused_at_once(url: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words) as refusal:
        JwksCache(url)
    assert "word@" not in str(refusal.value)


@pytest.mark.parametrize(
    "url", ["http://localhost:1/j", "http://127.8.8.8:1/j", "http://[::1]:1/j", "https://a.b/j"]
)
def test_https_or_loopback_will_do(url: str) -> None:
    assert not JwksCache(url).is_warm


def test_plain_http_may_be_allowed() -> None:
    assert not JwksCache("http://nas.internal/jwks.json", allow_http=True).is_warm


def test_a_proxy_from_the_environment_is_not_asked_for_loopback(
    server: JwksServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    assert JwksCache(server.url).get("p256") is not None


def test_a_thread_that_cannot_start_is_a_failed_fetch(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def cannot(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    cache = JwksCache(document)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", cannot)
        assert cache.get("p256") is None
    assert "RuntimeError" in caplog.text
