"""A call is that of who its token stands for once its body is there, however late that comes."""

import asyncio
import json
from collections.abc import Awaitable, Callable

import attrs
import pytest

from nas_sdk._core.instants import format_instant
from nas_server.store import MemoryStore, Record
from nas_server.store.base import AGENT
from tests.support.nas_in_process import Hosted, hosted
from tests.support.patience import PATIENCE_S

Change = Callable[[Hosted], Awaitable[None]]


class WatchedStore(MemoryStore):
    """Says when it was asked about an agent."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = asyncio.Event()

    async def read(self, kind: str, key: str) -> Record | None:
        if kind == AGENT:
            self.asked.set()
        return await super().read(kind, key)


async def nothing(nas: Hosted) -> None:
    pass


async def rotated(nas: Hosted) -> None:
    await nas.nas.accounts.rotate("agent")


async def compromised(nas: Hosted) -> None:
    await nas.nas.accounts.rotate("agent", keep_armed=False)


async def revoked(nas: Hosted) -> None:
    await nas.nas.accounts.revoke("agent")


async def expired(nas: Hosted) -> None:
    agent = await nas.nas.accounts.provisioned("agent")
    ends = attrs.evolve(agent, expires_ms=nas.clock())
    await nas.nas.accounts.change("agent", lambda known: ends)


def provision(nas: Hosted) -> tuple[str, object]:
    fire_at = format_instant(nas.clock() + 60_000)
    return "/api/agent-cron/provision", {
        "job_id": "job",
        "fire_at": fire_at,
        "agent_callback_url": "http://127.0.0.1:9",
        "dedup_key": f"job:{fire_at}",
    }


def cancel(nas: Hosted) -> tuple[str, object]:
    return "/api/agent-cron/cancel", {"job_id": "old"}


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("call", [provision, cancel])
@pytest.mark.parametrize(
    ("change", "status"),
    [(nothing, 200), (rotated, 401), (compromised, 401), (revoked, 403), (expired, 401)],
)
async def test_a_token_that_ends_while_the_last_byte_is_held_back_calls_nothing(
    call: Callable[[Hosted], tuple[str, object]],
    change: Change,
    status: int,
    chunked: bool,
) -> None:
    store = WatchedStore()
    async with hosted(store) as nas:
        await nas.provision("old", 60_000, "http://127.0.0.1:9")
        path, said = call(nas)
        body = json.dumps(said).encode()
        if chunked:
            length, body = (
                "Transfer-Encoding: chunked",
                b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body),
            )
        else:
            length = f"Content-Length: {len(body)}"
        host, port = nas.url.removeprefix("http://").split(":")
        async with asyncio.timeout(PATIENCE_S):
            reader, writer = await asyncio.open_connection(host, int(port))
            store.asked.clear()
            head = f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {nas.token}\r\n"
            head += f"Content-Type: application/json\r\n{length}\r\nConnection: close\r\n\r\n"
            writer.write(head.encode() + body[:-1])
            await store.asked.wait()
            await change(nas)
            before = await store.armed("agent")
            writer.write(body[-1:])
            answer = await reader.read()
            writer.close()
        assert int(answer.split()[1]) == status
        assert (await store.armed("agent") != before) == (status == 200)
