"""Everything asynchronous, in every kind of event loop: asyncio's own, uvloop and trio."""

import asyncio
import gc
import json
import socket
import threading
import warnings
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest

from nas_sdk import Arm, AsyncNasClient
from nas_sdk.testing import InMemoryNas
from nas_sdk.webhooks import AsyncFireVerifier, Fire, FireRefused
from tests.support.both_clients import CALLBACK, FIRE_AT
from tests.support.jwks_server import jwks_server
from tests.support.loopback import Loopback, Seen, http_answer, loopback
from tests.support.patience import PATIENCE_S
from tests.support.tls import self_signed

Run = Callable[[Callable[[], Awaitable[Any]]], Any]
LOOPS: dict[str, tuple[str, dict[str, Any]]] = {
    "asyncio": ("asyncio", {}),
    "uvloop": ("asyncio", {"use_uvloop": True}),
    "trio": ("trio", {}),
}


@pytest.fixture(params=LOOPS)
def run(request: pytest.FixtureRequest) -> Run:
    """Runs a function in an event loop of that kind, which is closed behind it."""
    backend, options = LOOPS[request.param]
    return lambda main: anyio.run(main, backend=backend, backend_options=options)


def answer(seen: Seen) -> bytes:
    if "/list" in seen.line:
        return http_answer(b'{"armed": []}')
    job_id = json.loads(seen.body)["job_id"]
    return http_answer(json.dumps({"schedule_id": f"os-{job_id}"}).encode())


def test_a_fire_is_verified_and_the_loop_goes_on_while_keys_are_fetched(run: Run) -> None:
    nas = InMemoryNas()
    headers = {"Authorization": f"Bearer {nas.mint_fire_token()}"}
    body = json.dumps({"job_id": "job-1", "fire_at": FIRE_AT})
    fires: list[Fire] = []
    with jwks_server(nas.jwks()) as server:
        verifier = AsyncFireVerifier(server.url, audience="agent:agent", issuer=nas.base_url)
        server.close()

        async def verify() -> None:
            fires.append(await verifier.verify(headers, body))

        async def main() -> None:
            async with anyio.create_task_group() as tasks:
                for _ in range(3):
                    tasks.start_soon(verify)
                assert await anyio.to_thread.run_sync(server.arrived.acquire, True, PATIENCE_S)
                server.open()

        run(main)
        run(verify)
        assert [fire.job_id for fire in fires] == ["job-1"] * 4
        assert server.fetches == 1


def test_a_fire_is_refused_for_the_same_reasons(run: Run) -> None:
    nas = InMemoryNas()
    token = nas.mint_fire_token()
    with jwks_server(nas.jwks()) as server:
        verifier = AsyncFireVerifier(server.url, audience="agent:other", issuer=nas.base_url)
        with pytest.raises(FireRefused) as refusal:
            run(lambda: verifier.verify_token(token))
    assert refusal.value.reason == "audience"


@pytest.mark.parametrize("over_tls", [False, True])
def test_a_batch_in_one_loop_after_another(run: Run, over_tls: bool, tmp_path: Path) -> None:
    context, public = self_signed(tmp_path)
    trusted = tmp_path / "trusted.pem"
    trusted.write_bytes(public)
    arms = [Arm(f"job-{number}", FIRE_AT, CALLBACK) for number in range(20)]

    async def main() -> None:
        assert await nas.list_armed() == []
        outcomes = await nas.provision_many(arms)
        told = [outcome.result.schedule_id for outcome in outcomes if outcome.result]
        assert told == [f"os-job-{number}" for number in range(20)]

    with loopback(answer, context if over_tls else None) as server:
        nas = AsyncNasClient(
            server.url, lambda: "agent-token", verify=str(trusted), max_connections=4
        )
        run(main)
        assert server.connections <= 4
        run(main)


def test_a_server_by_its_name(run: Run) -> None:
    with loopback(answer) as server:
        nas = AsyncNasClient(server.url.replace("127.0.0.1", "localhost"), "agent-token")
        assert run(nas.list_armed) == []


def test_a_cancelled_call_frees_its_connection_and_a_retry_waits(run: Run) -> None:
    came, go = threading.Event(), threading.Event()
    failures = [b'{"error": "server_error"}']

    def slowly(seen: Seen) -> bytes:
        if "/cancel" in seen.line:
            came.set()
            go.wait(PATIENCE_S)
            return http_answer(b'{"ok": true}')
        if failures:
            return http_answer(failures.pop(), "503 Service Unavailable")
        return answer(seen)

    async def main() -> None:
        async with AsyncNasClient(server.url, "agent-token", max_connections=1) as nas:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(nas.cancel, "job-1")
                assert await anyio.to_thread.run_sync(came.wait, PATIENCE_S)
                tasks.cancel_scope.cancel()
            assert await nas.list_armed() == []
            assert nas.last_response is not None
            assert nas.last_response.attempts == 2

    with loopback(slowly) as server:
        try:
            run(main)
        finally:
            go.set()


def test_a_loop_that_ends_closes_its_connections(run: Run) -> None:
    with nothing_left_open(), loopback(answer) as server:
        nas = AsyncNasClient(server.url, "agent-token")
        run(nas.list_armed)
        run(nas.list_armed)
        assert server.connections == 2


def test_a_client_is_closed_in_every_loop_that_used_it(run: Run) -> None:
    used, gone, let_go = threading.Event(), threading.Event(), threading.Event()

    class Server(Loopback):
        def _serve(self, connection: socket.socket, number: int) -> None:
            super()._serve(connection, number)
            gone.set()

    async def main() -> None:
        assert await nas.list_armed() == []
        used.set()
        assert await anyio.to_thread.run_sync(let_go.wait, PATIENCE_S)

    with nothing_left_open(), closing(Server(answer)) as server:
        nas = AsyncNasClient(server.url, "agent-token")
        other = threading.Thread(target=run, args=(main,))
        other.start()
        try:
            assert used.wait(PATIENCE_S)
            asyncio.run(nas.aclose())
            assert gone.wait(PATIENCE_S)
        finally:
            let_go.set()
            other.join(PATIENCE_S)


@contextmanager
def nothing_left_open() -> Iterator[None]:
    """Fails where the block leaves a socket, or what is like it, to the garbage collector."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", ResourceWarning)
        gc.collect()
        told.clear()  # what others left
        yield
        gc.collect()
    assert [each.message for each in told if issubclass(each.category, ResourceWarning)] == []


def test_a_call_is_cancelled_while_its_token_source_blocks(run: Run) -> None:
    came, go = threading.Event(), threading.Event()

    def source() -> str:
        came.set()
        assert go.wait(PATIENCE_S)
        return "agent-token"

    async def main() -> None:
        nas = AsyncNasClient("https://nas.test", source)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(nas.list_armed)
            assert await anyio.to_thread.run_sync(came.wait, PATIENCE_S)
            tasks.cancel_scope.cancel()
        assert not go.is_set()
        go.set()

    run(main)
