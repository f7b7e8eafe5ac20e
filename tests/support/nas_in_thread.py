"""The reference NAS in a thread of the test's process, with real time, for clients that block."""

import asyncio
import socket
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import attrs
from aiohttp import web

from nas_server.app import Nas
from nas_server.clock import system_clock
from nas_server.http import serving
from nas_server.policy import HttpPolicy, ServerConfig
from nas_server.store import Store
from nas_server.store.memory import MemoryStore
from tests.support.patience import PATIENCE_S

T = TypeVar("T")


@attrs.frozen
class Threaded:
    """A running NAS, and the tokens one needs to try everything on it."""

    url: str
    audience: str
    token: str = attrs.field(repr=False)
    second: str = attrs.field(repr=False)
    expired: str = attrs.field(repr=False)
    unprovisioned: str = attrs.field(repr=False)


def steady_store() -> Store:
    """A store in memory whose retries come as soon as the backoff allows at all."""
    return MemoryStore(chance=lambda: 0.1)


@contextmanager
def nas_in_thread(
    store: Store | None = None, change: Callable[[Nas], object] = lambda nas: None
) -> Iterator[Threaded]:
    """Run a NAS on ``store`` while the block runs; ``change`` may meddle with it before."""
    listener = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    settings = ServerConfig(issuer=url, allow_private_callbacks=True, grace_s=0.0)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    def wait_for(work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, loop).result(PATIENCE_S)

    try:
        nas = Nas(store or steady_store(), settings)
        change(nas)
        runner = serving.runner(nas.app, HttpPolicy(close_s=0.1))
        wait_for(_start(runner, listener))
        try:
            yield wait_for(_provision_agents(nas, url))
        finally:
            wait_for(runner.cleanup())
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _start(runner: web.AppRunner, listener: socket.socket) -> None:
    await runner.setup()
    await web.SockSite(runner, listener).start()


async def _provision_agents(nas: Nas, url: str) -> Threaded:
    now = system_clock()
    one, token = await nas.accounts.add("one", None, now)
    _, second = await nas.accounts.add("two", None, now)
    _, expired = await nas.accounts.add("rotated", None, now)
    await nas.accounts.rotate("rotated")
    _, unprovisioned = await nas.accounts.add("revoked", None, now)
    await nas.accounts.revoke("revoked")
    return Threaded(url, one.audience, token, second, expired, unprovisioned)
