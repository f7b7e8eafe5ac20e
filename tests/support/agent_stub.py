"""An agent for tests of NAS: it keeps the fires it gets and answers as told."""

import asyncio
import json
import ssl
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import attrs
from aiohttp import web

from tests.support.patience import PATIENCE_S

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@attrs.frozen
class Received:
    """One fire as it arrived."""

    job_id: str
    fire_at: str
    token: str = attrs.field(repr=False)
    path: str
    at_ms: int


class AgentStub:
    """Listens on a free port of 127.0.0.1; `answers` are used up before `usual`."""

    def __init__(self, clock: Callable[[], int]) -> None:
        """Note the arrival of fires by ``clock``."""
        self.url = ""
        self.fires: list[Received] = []
        self.answers: deque[Answer] = deque()
        self.usual: Answer = accepted
        self._clock = clock
        self._news = asyncio.Condition()

    def jobs(self) -> list[str]:
        """The job ids of the fires so far, oldest first."""
        return [fire.job_id for fire in self.fires]

    async def until(self, count: int) -> None:
        """Wait until that many fires have arrived; AssertionError."""
        async with self._news:
            try:
                async with asyncio.timeout(PATIENCE_S):
                    await self._news.wait_for(lambda: len(self.fires) >= count)
            except TimeoutError:
                raise AssertionError(f"{len(self.fires)} fires of {count}") from None

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Keep a fire and answer it."""
        body = json.loads(await request.read())
        token = request.headers["Authorization"].removeprefix("Bearer ")
        fire = Received(body["job_id"], body["fire_at"], token, request.path, self._clock())
        async with self._news:
            self.fires.append(fire)
            self._news.notify_all()
        answer = self.answers.popleft() if self.answers else self.usual
        return await answer(request)


async def accepted(request: web.Request) -> web.Response:
    """202, as of an agent that runs the job."""
    job_id = json.loads(await request.read())["job_id"]
    return web.json_response({"status": "accepted", "job_id": job_id}, status=202)


def not_run(word: str) -> Answer:
    """200, as of an agent that does not run the job, and why."""

    async def answer(request: web.Request) -> web.Response:
        job_id = json.loads(await request.read())["job_id"]
        return web.json_response({"status": word, "job_id": job_id, "detail": "more"})

    return answer


gone = not_run("gone")


def text(body: str) -> Answer:
    """200 with any text."""

    async def answer(_: web.Request) -> web.Response:
        return web.Response(text=body, content_type="application/json")

    return answer


def status(code: int, **headers: str) -> Answer:
    """An answer that is no acceptance; underscores in header names stand for hyphens."""

    async def answer(_: web.Request) -> web.Response:
        return web.Response(
            status=code,
            headers={name.replace("_", "-"): value for name, value in headers.items()},
        )

    return answer


def held(gate: asyncio.Event, then: Answer = accepted) -> Answer:
    """An answer that waits for a gate."""

    async def answer(request: web.Request) -> web.StreamResponse:
        await gate.wait()
        return await then(request)

    return answer


@asynccontextmanager
async def agent_stub(
    clock: Callable[[], int], tls: ssl.SSLContext | None = None
) -> AsyncIterator[AgentStub]:
    """Run an agent while the block runs."""
    stub = AgentStub(clock)
    app = web.Application()
    app.router.add_post("/{prefix:.*}api/cron/fire", stub.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
    await site.start()
    host, port = runner.addresses[0][:2]
    stub.url = f"{'https' if tls else 'http'}://{host}:{port}"
    try:
        yield stub
    finally:
        await runner.cleanup()
