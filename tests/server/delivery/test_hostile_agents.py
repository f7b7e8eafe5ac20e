"""What an agent answers, however hostile, is no other agent's business, nor `/healthz`'s."""

import asyncio

import pytest

from nas_server.store import MemoryStore
from tests.support.agent_stub import agent_stub
from tests.support.hostile_agents import SHAPES, TLS_SHAPES, HostileAgent, hostile_agent
from tests.support.nas_in_process import Hosted, eventually, hosted
from tests.support.patience import PATIENCE_S

HEALTHY = 20
PER_AGENT = 4
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


async def test_an_agent_that_does_not_even_read(tmp_path: object) -> None:
    async with (
        hostile_agent(SHAPES["nothing"], reads=False) as hostile,
        hosted(MemoryStore(), per_agent=PER_AGENT, answer_timeout_s=3) as nas,
    ):
        await besieged(nas, hostile)
        await ended(nas, hostile)
