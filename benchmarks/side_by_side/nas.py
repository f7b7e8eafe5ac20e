"""The NAS that both providers are measured against: the reference NAS in a thread, slowed."""

import asyncio
import logging
import socket
import ssl
import threading
import time
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import attrs
import certifi
from aiohttp import web
from aiohttp.typedefs import Handler

from nas_sdk._core.instants import format_instant, parse_instant
from nas_sdk.protocol.one_shot import DeliveryResult, StoredOneShot
from nas_server.app import Nas
from nas_server.clock import system_clock
from nas_server.http import serving
from nas_server.policy import HttpPolicy, ServerConfig
from nas_server.store import MemoryStore
from tests.support.tls import self_signed
from tools.demo.home import NasAccess

T = TypeVar("T")
PATIENCE_S = 60.0


@attrs.define
class Usage:
    """What one agent has asked of NAS since `SlowNas.watch`."""

    requests: int = 0
    connections: set[object] = attrs.field(factory=set)
    """Their ends here. Not the addresses they come from, which are used again."""


class WatchedStore(MemoryStore):
    """Notes when a fire was accepted, and when the job was armed for the next time."""

    def __init__(self) -> None:
        super().__init__()
        self.respells = False
        """List times in UTC with milliseconds and `Z`, as NAS may."""
        self.news = threading.Condition()
        self._accepted: dict[tuple[str, str], tuple[int, float]] = {}
        self._armed: dict[tuple[str, str], float] = {}

    async def armed(self, agent: str) -> list[StoredOneShot]:
        armed = await super().armed(agent)
        if not self.respells:
            return armed
        texts = [format_instant(parse_instant(one.fire_at)) for one in armed]
        return [attrs.evolve(one, fire_at=at) for one, at in zip(armed, texts, strict=True)]

    async def settle(
        self, tried: StoredOneShot, outcome: DeliveryResult, now: int
    ) -> StoredOneShot | None:
        """Called as soon as the agent has answered a fire."""
        if outcome.note == "202":
            job = tried.agent, tried.job_id
            self._accepted[job] = tried.due_ms, time.perf_counter()
            self._armed.pop(job, None)
        return await super().settle(tried, outcome, now)

    async def provision(self, wanted: StoredOneShot, now: int) -> str:
        job = wanted.agent, wanted.job_id
        fired_ms, _ = self._accepted.get(job, (wanted.due_ms, 0.0))
        if wanted.due_ms > fired_ms:
            with self.news:
                self._armed.setdefault(job, time.perf_counter())
                self.news.notify_all()
        return await super().provision(wanted, now)

    def accept_to_armed(self, agent: str, job_id: str) -> float:
        """Wait for a fire of the job; seconds from the agent's 202 to its next one-shot."""
        job = agent, job_id
        with self.news:
            if not self.news.wait_for(lambda: job in self._armed, PATIENCE_S):
                raise TimeoutError(f"job {job_id} was not fired and armed in {PATIENCE_S:.0f} s")
        return self._armed[job] - self._accepted[job][1]


class SlowNas:
    """The running NAS, over HTTP at `url` and over TLS at `tls_url`."""

    def __init__(self) -> None:
        self.url = self.tls_url = ""
        self.delay_s = 0.0
        """How long every request waits before NAS looks at it."""
        self.jwks_delay_s = 0.0
        self._release: asyncio.Event | None = None
        self.jwks_fetches = 0
        self.store = WatchedStore()
        self._usage: dict[str, Usage] = {}
        self._loop = asyncio.new_event_loop()
        self._nas: Nas

    def add_agent(self, name: str, *, tls: bool = False) -> NasAccess:
        """Provision an agent."""
        agent, token = self._wait(self._nas.accounts.add(name, None, system_clock()))
        return NasAccess(self.tls_url if tls else self.url, agent.audience, token)

    def remove_agent(self, name: str) -> None:
        """Refuse its calls, and drop what it has armed as it falls due."""
        self._wait(self._nas.accounts.revoke(name))

    def armed(self, name: str) -> int:
        """How many one-shots an agent has."""
        return len(self._wait(self.store.armed(name)))

    def watch(self, access: NasAccess) -> Usage:
        """Count an agent's requests from now on."""
        usage = self._usage[f"Bearer {access.token}"] = Usage()
        return usage

    def fire_tokens(self, access: NasAccess, count: int) -> list[str]:
        """As many tokens as NAS would send for as many fires."""
        claims = {"iss": access.url, "aud": access.audience, "purpose": "cron_fire"}
        now = system_clock()
        return [self._nas.keys.sign({**claims, "jti": str(n)}, now) for n in range(count)]

    @contextmanager
    def hanging(self) -> Iterator[None]:
        """Answer nobody while the block runs."""
        release = self._release = asyncio.Event()
        try:
            yield
        finally:
            self._release = None
            self._loop.call_soon_threadsafe(release.set)

    @contextmanager
    def serving(self, bundle: Path) -> Iterator[None]:
        """Serve while the block runs; writes a bundle of certificates to trust to that file."""
        thread = threading.Thread(target=self._loop.run_forever, name="bench-nas")
        thread.start()
        try:
            runner = self._wait(self._start(bundle))
            try:
                with _quiet("aiohttp.server", "nas_server"):  # agents hang up as they like
                    yield
            finally:
                self._wait(runner.cleanup())
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            thread.join()
            self._loop.close()

    async def _start(self, bundle: Path) -> web.AppRunner:
        listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        settings = ServerConfig(issuer=self.url, allow_private_callbacks=True, grace_s=0.0, calls=0)
        self._nas = Nas(self.store, settings)
        self._nas.app.middlewares.insert(0, self._slowly())
        runner = serving.runner(self._nas.app, HttpPolicy(close_s=0.1))
        await runner.setup()
        await web.SockSite(runner, listener).start()
        context = _vouched_for_by(bundle)
        tls = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
        await tls.start()
        self.tls_url = f"https://127.0.0.1:{runner.addresses[1][1]}"
        return runner

    def _slowly(self) -> Any:
        @web.middleware
        async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
            is_jwks = request.path == "/.well-known/jwks.json"
            self._count(request, is_jwks)
            delay = self.jwks_delay_s if is_jwks else self.delay_s
            if self._release is not None:
                await self._release.wait()
            if delay:
                await asyncio.sleep(delay)
            return await handler(request)

        return middleware

    def _count(self, request: web.Request, is_jwks: bool) -> None:
        self.jwks_fetches += is_jwks
        usage = self._usage.get(request.headers.get("Authorization", ""))
        if usage is not None:
            usage.requests += 1
            usage.connections.add(request.protocol)

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(PATIENCE_S)


def _vouched_for_by(bundle: Path) -> ssl.SSLContext:
    """A context for 127.0.0.1 whose certificate ends a bundle of usual size."""
    context, public = self_signed(bundle.parent)
    bundle.write_bytes(Path(certifi.where()).read_bytes() + public)
    return context


@contextmanager
def _quiet(*names: str) -> Iterator[None]:
    """Have only what is critical logged by these, while the block runs."""
    before = [(logger := logging.getLogger(name), logger.level) for name in names]
    for logger, _ in before:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in before:
            logger.setLevel(level)
