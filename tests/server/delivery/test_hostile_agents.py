"""What an agent answers, however hostile, is no other agent's business, nor `/healthz`'s."""

import asyncio
import re
import ssl
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from nas_server.delivery.agent_client import AgentClient
from nas_server.store import MemoryStore
from nas_server.store.base import Which
from tests.support.agent_stub import agent_stub
from tests.support.hostile_agents import (
    SHAPES,
    TLS_SHAPES,
    HostileAgent,
    deaf_agent,
    hostile_agent,
    hostile_tls_agent,
)
from tests.support.hostile_answers import generated
from tests.support.nas_in_process import Hosted, eventually, hosted
from tests.support.patience import PATIENCE_S
from tests.support.tls import self_signed

HEALTHY = 20
PER_AGENT = 4
AT_ONCE = 24
NOTE = re.compile(
    r"\d{3}(: [a-z_]+)?|timeout: no answer in time|(unreachable|unreadable): (?!.*Error).+"
)
TAKEN_MOST = 8 * 2**20
"""Of an answer without end the kernels' buffers take some, and nobody reads the rest."""


async def besieged(nas: Hosted, hostile: HostileAgent, scheme: str = "http") -> None:
    """Have the hostile agent answer all the fires it may have at a time; others must not notice."""
    victim = nas.token
    _, nas.token = await nas.nas.accounts.add("hostile", None, nas.clock())
    for n in range(PER_AGENT):
        await nas.provision(f"bad{n}", 0, hostile.url.replace("http:", f"{scheme}:"))
    nas.token = victim
    async with asyncio.timeout(PATIENCE_S):
        await hostile.held.wait()
    async with agent_stub(nas.clock) as healthy:
        for n in range(HEALTHY):
            await nas.provision(f"job{n}", 0, healthy.url)
        await healthy.until(HEALTHY)
        assert (await nas.call("GET", "/healthz"))[0] == 200

        async def settled() -> bool:
            return not await nas.armed()

        await eventually(settled)
        assert len(healthy.fires) == HEALTHY
    assert hostile.connections <= 2 * PER_AGENT
    assert hostile.taken <= hostile.connections * TAKEN_MOST


async def ended(nas: Hosted, hostile: HostileAgent) -> None:
    """Wait until no call of the hostile agent is under way; its connections are closed then."""

    async def over() -> bool:
        assert hostile.taken <= hostile.connections * TAKEN_MOST
        return nas.nas.relay.under_way == 0 and hostile.open == 0

    await eventually(over)


@pytest.mark.parametrize("shape", SHAPES)
async def test_no_other_agent_notices(shape: str) -> None:
    async with (
        hostile_agent(SHAPES[shape]) as hostile,
        hosted(MemoryStore(), per_agent=PER_AGENT, answer_timeout_s=3) as nas,
    ):
        await besieged(nas, hostile)
        await ended(nas, hostile)
        for one in await nas.nas._store.armed("hostile"):
            assert one.note
            assert not one.note.endswith("Error"), one.note


@pytest.mark.parametrize("shape", TLS_SHAPES)
async def test_no_other_agent_notices_what_answers_a_handshake(shape: str) -> None:
    async with (
        hostile_agent(TLS_SHAPES[shape]) as hostile,
        hosted(MemoryStore(), per_agent=PER_AGENT, answer_timeout_s=3) as nas,
    ):
        await besieged(nas, hostile, "https")
        await ended(nas, hostile)
        for one in await nas.nas._store.armed("hostile"):
            assert one.note.startswith(("timeout: ", "unreachable: ")), one.note


async def crowd(
    nas: Hosted, stack: AsyncExitStack, seeds: range, context: ssl.SSLContext | None = None
) -> None:
    """Have each of the seeds' agents answer two fires; a healthy one must not notice."""
    elsewhere = await stack.enter_async_context(hostile_agent(SHAPES["nothing"]))
    agents: dict[str, HostileAgent] = {}
    healthy = nas.token
    for seed in seeds:
        shape, reads = generated(seed, elsewhere.url)
        made = (
            hostile_tls_agent(context, shape, reads=reads)
            if context
            else hostile_agent(shape, reads=reads)
        )
        hostile = agents[f"hostile-{seed}"] = await stack.enter_async_context(made)
        _, nas.token = await nas.nas.accounts.add(f"hostile-{seed}", None, nas.clock())
        for n in range(2):
            await nas.provision(f"bad{n}", 0, hostile.url)
    nas.token = healthy
    async with agent_stub(nas.clock) as agent:
        for n in range(HEALTHY):
            await nas.provision(f"job{n}", 0, agent.url)
        await agent.until(HEALTHY)
        assert (await nas.call("GET", "/healthz"))[0] == 200
    assert elsewhere.connections == 0

    async def over() -> bool:
        return not (nas.nas.relay.under_way or any(each.open for each in agents.values()))

    await eventually(over)
    for name, hostile in agents.items():
        assert hostile.taken <= hostile.connections * TAKEN_MOST, name
        tried = await nas.nas._store.attempts(nas.clock(), 10, Which(name))
        assert [each.number for each in tried] == [1, 1], name
        for each in tried:
            assert NOTE.fullmatch(each.answer), (name, each.answer)


@pytest.fixture
def trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """What agents show a certificate with that fires trust."""
    context, certificate = self_signed(tmp_path)
    made = AgentClient._tls

    def trusting(client: AgentClient) -> ssl.SSLContext:
        made(client).load_verify_locations(cadata=certificate.decode())
        return made(client)

    monkeypatch.setattr(AgentClient, "_tls", trusting)
    return context


@pytest.mark.parametrize("first", range(0, 3 * AT_ONCE, AT_ONCE))
async def test_no_other_agent_notices_answers_that_nobody_thought_of(first: int) -> None:
    async with (
        AsyncExitStack() as stack,
        hosted(MemoryStore(), per_agent=PER_AGENT, answer_timeout_s=3) as nas,
    ):
        await crowd(nas, stack, range(first, first + AT_ONCE))


async def test_no_other_agent_notices_them_over_tls(trusted: ssl.SSLContext) -> None:
    async with (
        AsyncExitStack() as stack,
        hosted(MemoryStore(), per_agent=PER_AGENT, answer_timeout_s=3) as nas,
    ):
        await crowd(nas, stack, range(1_000, 1_000 + AT_ONCE), trusted)


async def test_a_call_that_fails_here_is_tried_again_after_a_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The agent may have it, and whatever made us fail may do so each time."""

    async def post(*_: object) -> object:
        raise RuntimeError("cannot switch state")

    monkeypatch.setattr(AgentClient, "post", post)
    async with hosted(MemoryStore(chance=lambda: 0.5)) as nas:
        await nas.provision("job", 0, "http://127.0.0.1:9")

        async def tried() -> bool:
            return bool(await nas.nas._store.attempts(nas.clock(), 1))

        await eventually(tried)
        (each,) = await nas.nas._store.attempts(nas.clock(), 9)
        assert (each.then, each.next_ms) == ("retry", nas.clock() + 500)
        assert each.answer == "failed: here, not at the agent; see the log"


async def test_an_agent_that_takes_no_connection() -> None:
    with deaf_agent() as url:
        async with hosted(MemoryStore(), per_agent=PER_AGENT, answer_timeout_s=3) as nas:
            hostile = HostileAgent(url)
            hostile.held.set()
            await besieged(nas, hostile)
            await ended(nas, hostile)
            for one in await nas.nas._store.armed("hostile"):
                assert one.note == "timeout: no answer in time"


async def test_an_agent_that_does_not_even_read(tmp_path: object) -> None:
    async with (
        hostile_agent(SHAPES["nothing"], reads=False) as hostile,
        hosted(MemoryStore(), per_agent=PER_AGENT, answer_timeout_s=3) as nas,
    ):
        await besieged(nas, hostile)
        await ended(nas, hostile)
