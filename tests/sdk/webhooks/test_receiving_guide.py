"""The guide on receiving fires: its code runs, and its adapters receive fires."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiohttp import web

from nas_sdk.webhooks import AsyncFireVerifier
from tests.support.tokens import AUDIENCE, ISSUER, good_token, key_set

GUIDE = Path(__file__).parents[3] / "docs" / "guides" / "receiving-fires.md"
SNIPPETS = re.findall(r"^```python\n(.*?)^```$", GUIDE.read_text("utf-8"), re.DOTALL | re.MULTILINE)
FIRE = {"job_id": "nightly", "fire_at": "2026-06-18T12:34:56Z"}


def run_snippet(code: str) -> dict[str, Any]:
    """What a snippet defines."""
    names: dict[str, Any] = {"__name__": "snippet"}
    exec(compile(code, str(GUIDE), "exec"), names)
    return names


def adapter(framework: str, ran: list[str]) -> Any:
    """The guide's application for that framework, with keys of ours and a job that is noted."""

    async def run(job_id: str) -> None:
        ran.append(job_id)

    (code,) = (code for code in SNIPPETS if f"\nfrom {framework}" in f"\n{code}")
    names = run_snippet(code)
    names["run"] = run
    names["verifier"] = AsyncFireVerifier(key_set(), audience=AUDIENCE, issuer=ISSUER)
    return names["app"]


@asynccontextmanager
async def starlette_client(ran: list[str]) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(adapter("starlette", ran))
    async with httpx.AsyncClient(transport=transport, base_url="http://agent") as client:
        yield client


@asynccontextmanager
async def aiohttp_client(ran: list[str]) -> AsyncIterator[httpx.AsyncClient]:
    runner = web.AppRunner(adapter("aiohttp", ran))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    async with httpx.AsyncClient(base_url=url) as client:
        yield client
    await runner.cleanup()


SERVE = pytest.mark.parametrize("serve", [starlette_client, aiohttp_client])


async def post(client: httpx.AsyncClient, body: object, **claims: Any) -> httpx.Response:
    headers = {"Authorization": f"Bearer {good_token(**claims)}"}
    return await client.post("/api/cron/fire", headers=headers, json=body)


@SERVE
async def test_an_adapter_accepts_a_fire_and_runs_the_job(serve: Any) -> None:
    ran: list[str] = []
    async with serve(ran) as client:
        answer = await post(client, FIRE)
        assert answer.status_code == 202
        assert answer.json() == {"status": "accepted", "job_id": "nightly"}
        await asyncio.sleep(0)
    assert ran == ["nightly"]


@SERVE
@pytest.mark.off_contract("request")
async def test_an_adapter_refuses_as_the_contract_says(serve: Any) -> None:
    ran: list[str] = []
    async with serve(ran) as client:
        bad = await post(client, {"job_id": "nightly"})
        refused = await post(client, FIRE, purpose="login")
        unsigned = await client.post("/api/cron/fire", json=FIRE)
    assert bad.status_code == 400
    assert bad.json()["error"].startswith("fire_at: ")
    assert refused.status_code == unsigned.status_code == 401
    assert refused.json() == unsigned.json() == {"error": "invalid fire token"}
    assert ran == []


@pytest.mark.parametrize("code", SNIPPETS)
def test_every_snippet_runs(code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nas_sdk.webhooks.jwks.JwksCache.prefetch", lambda cache: None)
    assert run_snippet(code)
