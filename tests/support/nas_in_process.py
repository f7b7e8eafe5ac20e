"""The reference NAS within the test's own process, on any store, with a clock set by hand."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import attrs
from aiohttp import web

from nas_sdk._core.instants import format_instant
from nas_server.app import Nas
from nas_server.http import serving
from nas_server.policy import HttpPolicy, ServerConfig
from nas_server.store import Store
from tests.support.patience import PATIENCE_S


@attrs.define
class HandClock:
    """A clock that stands still until it is set; it begins at the real time."""

    now: int = attrs.field(factory=lambda: time.time_ns() // 1_000_000)

    def __call__(self) -> int:
        return self.now


class Hosted:
    """A running NAS and the way to it, as one agent."""

    def __init__(self, nas: Nas, clock: HandClock, url: str, client: aiohttp.ClientSession) -> None:
        self.nas = nas
        self.clock = clock
        self.url = url
        self.client = client
        self.token = ""

    def advance(self, ms: int) -> None:
        """Set the clock forward and have the relay see it."""
        self.clock.now += ms
        self.nas.relay.look()

    async def call(self, method: str, path: str, **options: Any) -> tuple[int, Any, dict[str, str]]:
        """Call an operation with the agent's token: status, JSON body, headers."""
        headers = {"Authorization": f"Bearer {self.token}"} | options.pop("headers", {})
        async with self.client.request(
            method, f"{self.url}{path}", headers=headers, **options
        ) as response:
            body = json.loads(await response.read())
            return response.status, body, dict(response.headers)

    async def provision(self, job_id: str, in_ms: int, callback_url: str) -> str:
        """Arm a job so long from now and return the schedule id."""
        fire_at = format_instant(self.clock.now + in_ms)
        body = {
            "job_id": job_id,
            "fire_at": fire_at,
            "agent_callback_url": callback_url,
            "dedup_key": f"{job_id}:{fire_at}",
        }
        status, answer, _ = await self.call("POST", "/api/agent-cron/provision", json=body)
        assert status == 200, answer
        schedule_id: str = answer["schedule_id"]
        return schedule_id

    async def cancel(self, job_id: str) -> None:
        """Cancel a job's one-shot."""
        status, answer, _ = await self.call(
            "POST", "/api/agent-cron/cancel", json={"job_id": job_id}
        )
        assert (status, answer) == (200, {"ok": True})

    async def armed(self) -> dict[str, str]:
        """What is listed: job id to schedule id."""
        status, answer, _ = await self.call("GET", "/api/agent-cron/list")
        assert status == 200, answer
        return {one["job_id"]: one["schedule_id"] for one in answer["armed"]}


async def eventually(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait until a condition holds that nothing announces; AssertionError when it never does."""
    end = time.monotonic() + PATIENCE_S
    while not await condition():
        assert time.monotonic() < end, f"not within {PATIENCE_S} s"
        await asyncio.sleep(0.002)


@asynccontextmanager
async def hosted(store: Store, **settings: Any) -> AsyncIterator[Hosted]:
    """Run a NAS on ``store`` while the block runs, with an agent named ``agent``."""
    clock = HandClock()
    given: dict[str, Any] = {
        "issuer": "http://nas.test/",
        "allow_private_callbacks": True,
        "grace_s": 0.0,
    }
    nas = Nas(store, ServerConfig(**(given | settings)), clock=clock)
    runner = serving.runner(nas.app, HttpPolicy(close_s=0.1))
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        async with aiohttp.ClientSession() as client:
            running = Hosted(nas, clock, f"http://{host}:{port}", client)
            _, running.token = await nas.accounts.add("agent", "i-1", clock())
            yield running
    finally:
        await runner.cleanup()
