"""A front that imitates the proxy of a platform whose machines stop when idle.

A request finds the machine up, or starts it and is held until it serves; then it is
forwarded. The machine is stopped once it was idle for a while, where idle means: no
request in flight and, as far as the platform can know, nothing under way on the machine.
A platform that knows of requests only would stop hermes in the middle of a run that
outlasts its idle time, because hermes answers a fire before it runs the job; so this one
asks `busy` before it stops anything.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

import aiohttp
from aiohttp import web

from tools.demo.process import ProcessError, Served

_HOP_BY_HOP = frozenset(
    {"connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "host"}
)
_NOT_PASSED_BACK = _HOP_BY_HOP | {"content-length"}
_MAX_BODY = 2**20


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it arrived; `arrived` is seconds since the epoch."""

    path: str
    body: bytes
    arrived: float
    was_down: bool


@dataclass(frozen=True, slots=True)
class Arrived:
    """A request came in."""

    request: Request


@dataclass(frozen=True, slots=True)
class Up:
    """The machine serves a request that was held for `held_ms`; 0 if it was up already."""

    request: Request
    held_ms: int


@dataclass(frozen=True, slots=True)
class Answered:
    """A request was answered with `status`."""

    request: Request
    status: int


@dataclass(frozen=True, slots=True)
class AtZero:
    """The machine was stopped; it had run for `ran` seconds."""

    ran: float


FrontEvent = Arrived | Up | Answered | AtZero


class Front:
    """Listens on a port of 127.0.0.1 and forwards to a machine it starts and stops.

    `machine` must find the port it serves on as group 1 of its line of readiness.
    """

    def __init__(
        self,
        machine: Served,
        notify: Callable[[FrontEvent], None],
        *,
        idle: float,
        busy: Callable[[], bool],
    ) -> None:
        """`idle`: seconds without anything to do after which the machine is stopped."""
        self._machine = machine
        self._notify = notify
        self._idle = idle
        self._busy = busy
        self._in_flight = 0
        self._switch = asyncio.Lock()
        self._rest: asyncio.Task[None] | None = None
        self._upstream = ""
        self._http = aiohttp.ClientSession(auto_decompress=False)
        app = web.Application(client_max_size=_MAX_BODY)
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)

    async def start(self) -> str:
        """Listen on a free port. Returns the base URL."""
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        return f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def close(self) -> None:
        """Stop the machine, at once and for good, and stop listening."""
        await asyncio.to_thread(self._machine.close)
        await self._runner.cleanup()
        await self._call_off_rest()
        await self._http.close()

    async def _handle(self, incoming: web.Request) -> web.Response:
        arrived, was_down = time.time(), not self._up
        request = Request(incoming.path, await incoming.read(), arrived, was_down)
        self._in_flight += 1
        try:
            await self._call_off_rest()
            self._notify(Arrived(request))
            response = await self._serve(incoming, request)
        finally:
            self._in_flight -= 1
            if not self._in_flight:
                self._rest = asyncio.create_task(self._stop_when_idle())
        self._notify(Answered(request, response.status))
        return response

    async def _serve(self, incoming: web.Request, request: Request) -> web.Response:
        try:
            await self._wake()
            held_ms = round((time.time() - request.arrived) * 1000) if request.was_down else 0
            self._notify(Up(request, held_ms))
            return await self._forward(incoming, request.body)
        except (ProcessError, aiohttp.ClientError) as error:
            # What a platform's proxy answers, and NAS tries again.
            return web.Response(status=503, text=f"{type(error).__name__}\n")

    @property
    def _up(self) -> bool:
        return self._upstream != "" and self._machine.running

    async def _wake(self) -> None:
        async with self._switch:
            if not self._up:
                self._upstream = ""
                port = await asyncio.to_thread(self._machine.start)
                self._upstream = f"http://127.0.0.1:{port}"

    async def _forward(self, incoming: web.Request, body: bytes) -> web.Response:
        headers = [(k, v) for k, v in incoming.headers.items() if k.lower() not in _HOP_BY_HOP]
        async with self._http.request(
            incoming.method,
            self._upstream + incoming.raw_path,
            headers=headers,
            skip_auto_headers=("Content-Type", "User-Agent", "Accept"),
            data=body,
            allow_redirects=False,
        ) as answer:
            response = web.Response(status=answer.status, body=await answer.read())
            for name, value in answer.headers.items():
                if name.lower() not in _NOT_PASSED_BACK:
                    response.headers[name] = value
            return response

    async def _stop_when_idle(self) -> None:
        await asyncio.sleep(self._idle)
        if self._busy():
            self._rest = asyncio.create_task(self._stop_when_idle())
            return
        # A stop that has begun is finished: the request that came in meanwhile waits for it.
        await asyncio.shield(self._stop())

    async def _stop(self) -> None:
        async with self._switch:
            if self._in_flight or not self._up:
                return
            self._upstream = ""
            ran = await asyncio.to_thread(self._machine.stop)
        self._notify(AtZero(ran))

    async def _call_off_rest(self) -> None:
        rest, self._rest = self._rest, None
        if rest:
            rest.cancel()
            await asyncio.gather(rest, return_exceptions=True)
