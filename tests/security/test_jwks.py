"""The key cache under attack and in outages, against a real endpoint on loopback."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

import httpx
import pytest
from aiohttp import web

from nas_sdk.webhooks import AsyncFireVerifier, FireRefused, FireVerifier, JwksCache
from tests.support.jwks_server import JwksServer, jwks_server, rescue
from tests.support.mint import good_claims, signed
from tests.support.patience import PATIENCE_S
from tests.support.tokens import AUDIENCE, ISSUER, good_token, key_set

NOW = 1_790_000_000.0


class Wall:
    """A clock that stands still until it is told."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def server() -> Iterator[JwksServer]:
    with jwks_server(key_set()) as server:
        yield server


@pytest.fixture
def wall() -> Wall:
    return Wall()


def verifier_of(cache: JwksCache, wall: Wall) -> FireVerifier:
    return FireVerifier(cache, audience=AUDIENCE, issuer=ISSUER, clock=wall)


def verdict(verifier: FireVerifier, token: str) -> str:
    try:
        verifier.verify_token(token)
    except FireRefused as refused:
        return refused.reason
    return "accepted"


def forged(number: int) -> str:
    """A token whose key id nobody has heard of."""
    return signed(good_claims(NOW), alg="ES256", header={"kid": f"forged-kid-{number}"})


def settle() -> None:
    """Wait until no fetch is under way."""
    for thread in threading.enumerate():
        if thread.name == "nas-jwks":
            thread.join()


def test_thirty_fires_with_a_cold_cache_cost_one_fetch(server: JwksServer, wall: Wall) -> None:
    verifier = verifier_of(JwksCache(server.url, clock=wall), wall)
    server.close()
    with ThreadPoolExecutor(30) as pool:
        verdicts = [pool.submit(verdict, verifier, good_token(NOW)) for _ in range(30)]
        assert server.arrived.acquire(timeout=PATIENCE_S)
        server.open()
        assert {future.result() for future in verdicts} == {"accepted"}
    assert server.fetches == 1


async def test_thirty_tasks_with_a_cold_cache_cost_one_fetch(
    server: JwksServer, wall: Wall
) -> None:
    cache = JwksCache(server.url, clock=wall)
    verifier = AsyncFireVerifier(cache, audience=AUDIENCE, issuer=ISSUER, clock=wall)
    server.close()
    tasks = [asyncio.create_task(verifier.verify_token(good_token(NOW))) for _ in range(30)]
    assert await asyncio.to_thread(server.arrived.acquire, timeout=PATIENCE_S)
    server.open()
    assert {claims.audience for claims in await asyncio.gather(*tasks)} == {AUDIENCE}
    assert server.fetches == 1


@pytest.mark.parametrize("max_wait", [None, 0.5])
def test_a_thousand_unknown_kids_cost_one_more_fetch_per_cooldown(
    server: JwksServer, wall: Wall, max_wait: float | None
) -> None:
    cache = JwksCache(server.url, max_wait=max_wait, clock=wall)
    verifier = verifier_of(cache, wall)
    cache.prefetch()
    settle()
    assert server.fetches == 1
    for number in range(1000):
        assert verdict(verifier, forged(number)) == "key"
        wall.now = NOW + number * 0.029
    settle()
    assert server.fetches == 2
    wall.now = NOW + 30.0
    assert verdict(verifier, forged(1000)) == "key"
    settle()
    assert server.fetches == 3
    print("fetches: 1 before, 1 for 1000 unknown kids in 29 s, 1 for the next after 30 s")
    assert verdict(verifier, good_token(NOW)) == "accepted"


def test_an_outage_is_not_hammered(server: JwksServer, wall: Wall) -> None:
    cache = JwksCache(server.url, clock=wall)
    verifier = verifier_of(cache, wall)
    server.status = 503
    for tenths in range(600):  # a minute of forged and good tokens
        wall.now = NOW + tenths / 10
        assert verdict(verifier, forged(tenths)) == "keys_unavailable"
        assert verdict(verifier, good_token(NOW)) == "keys_unavailable"
    # At 0, 1, 3, 7, 15 and 31 s: each failure doubles the pause, until it is the cooldown.
    assert server.fetches == 6
    server.status = 200
    wall.now = NOW + 61
    assert verdict(verifier, good_token(NOW + 61)) == "accepted"


def test_the_last_good_keys_outlive_an_outage_for_a_bounded_time(
    server: JwksServer, wall: Wall
) -> None:
    cache = JwksCache(server.url, lifespan=300, stale_for=3600, clock=wall)
    verifier = verifier_of(cache, wall)
    assert verdict(verifier, good_token(NOW)) == "accepted"
    server.status = 500
    for age in (301, 1000, 3899):
        wall.now = NOW + age
        assert verdict(verifier, good_token(wall.now)) == "accepted"
        settle()
    assert server.fetches == 4
    wall.now = NOW + 3900
    assert verdict(verifier, good_token(wall.now)) == "keys_unavailable"


def test_a_rotation_is_noticed_at_the_first_token(server: JwksServer, wall: Wall) -> None:
    verifier = verifier_of(JwksCache(server.url, clock=wall), wall)
    assert verdict(verifier, good_token(NOW, alg="RS256")) == "accepted"
    server.keys = key_set("rsa-foreign")
    token = signed(good_claims(NOW), key="rsa-foreign", header={"kid": "rsa-foreign"})
    assert verdict(verifier, token) == "accepted"
    assert verdict(verifier, good_token(NOW, alg="RS256")) == "key"
    assert server.fetches == 2


def test_keys_at_hand_never_wait_for_a_refresh(server: JwksServer, wall: Wall) -> None:
    cache = JwksCache(server.url, timeout=PATIENCE_S, clock=wall)
    verifier = verifier_of(cache, wall)
    assert verdict(verifier, good_token(NOW)) == "accepted"
    server.close()
    wall.now = NOW + 301
    with rescue(server.gate) as needed:
        for _ in range(100):
            assert verdict(verifier, good_token(wall.now)) == "accepted"
        assert server.arrived.acquire(timeout=PATIENCE_S)
        assert server.arrived.acquire(timeout=PATIENCE_S)
        assert not needed.is_set()
    assert server.fetches == 2


def test_a_cold_cache_holds_an_event_loop_up_once_and_no_longer_than_agreed(
    server: JwksServer, wall: Wall
) -> None:
    cache = JwksCache(server.url, timeout=PATIENCE_S, max_wait=0.05, clock=wall)
    verifier = verifier_of(cache, wall)
    server.close()
    with rescue(server.gate) as needed:
        for number in range(1000):
            assert verdict(verifier, forged(number)) == "keys_unavailable"
        assert not needed.is_set()
    server.open()
    settle()
    assert server.fetches == 1
    assert verdict(verifier, good_token(NOW)) == "accepted"


async def test_the_loop_answers_others_while_a_task_waits_for_keys(
    server: JwksServer, wall: Wall
) -> None:
    cache = JwksCache(server.url, timeout=PATIENCE_S, clock=wall)
    verifier = AsyncFireVerifier(cache, audience=AUDIENCE, issuer=ISSUER, clock=wall)

    async def fire(request: web.Request) -> web.Response:
        claims = await verifier.verify_token(good_token(NOW))
        return web.json_response({"audience": claims.audience}, status=202)

    server.close()
    async with serve(fire) as url, httpx.AsyncClient(timeout=PATIENCE_S) as client:
        waiting = asyncio.create_task(client.post(f"{url}/fire"))
        assert await asyncio.to_thread(server.arrived.acquire, timeout=PATIENCE_S)
        assert (await client.get(f"{url}/health")).status_code == 200
        assert not waiting.done()
        server.open()
        assert (await waiting).status_code == 202


async def test_a_verifier_called_on_the_loop_refuses_unknown_kids_without_waiting(
    server: JwksServer, wall: Wall
) -> None:
    cache = JwksCache(server.url, timeout=PATIENCE_S, max_wait=PATIENCE_S, clock=wall)
    verifier = verifier_of(cache, wall)
    cache.prefetch()
    await asyncio.to_thread(settle)

    async def fire(request: web.Request) -> web.Response:
        said = verdict(verifier, forged(1))
        return web.json_response({"verdict": said}, status=202 if said == "accepted" else 401)

    server.close()
    with rescue(server.gate) as needed:
        async with serve(fire) as url, httpx.AsyncClient(timeout=PATIENCE_S) as client:
            for _ in range(20):
                assert (await client.post(f"{url}/fire")).json() == {"verdict": "key"}
                assert (await client.get(f"{url}/health")).status_code == 200
        assert not needed.is_set()
    server.open()
    await asyncio.to_thread(settle)
    assert server.fetches == 2


@asynccontextmanager
async def serve(
    fire: Callable[[web.Request], Awaitable[web.StreamResponse]],
) -> AsyncIterator[str]:
    """A server on this loop with `POST /fire` and `GET /health`; yields its URL."""

    async def health(request: web.Request) -> web.Response:
        return web.Response()

    app = web.Application()
    app.router.add_post("/fire", fire)
    app.router.add_get("/health", health)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def test_requests_carry_our_user_agent(server: JwksServer, wall: Wall) -> None:
    JwksCache(server.url, clock=wall).get("rsa")
    assert server.user_agents[0].startswith("nas-sdk/")


def test_no_log_line_holds_what_a_token_said(
    server: JwksServer, wall: Wall, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    cache = JwksCache(server.url, clock=wall)
    verifier = verifier_of(cache, wall)
    marked = signed(good_claims(NOW, aud="MARK-aud", jti="MARK-jti"), header={"kid": "MARK-kid"})
    for status in (500, 200, 500):
        server.status = status
        wall.now += 31
        assert verdict(verifier, marked) in ("key", "keys_unavailable")
    settle()
    assert "NAS's keys could not be fetched: status 500" in caplog.text
    assert "MARK" not in caplog.text
