"""`kill -9` of a real server in the middle of everything: what was answered is not lost."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from nas_sdk import Arm, AsyncNasClient, NasClient
from nas_sdk._core.instants import format_instant, parse_instant
from nas_server.clock import system_clock
from tests.support.agent_stub import AgentStub, agent_stub
from tests.support.nas_server import nas_server
from tests.support.patience import PATIENCE_S


@pytest.fixture
async def agent() -> AsyncIterator[AgentStub]:
    async with agent_stub(system_clock) as stub:
        yield stub


def arms(count: int, in_ms: int, url: str) -> list[Arm]:
    at = format_instant(system_clock() + in_ms)
    return [Arm(f"job{n}", at, url) for n in range(count)]


async def all_fired(agent: AgentStub, jobs: set[str]) -> Counter[str]:
    """Wait until every job has fired; return how often each did."""
    while missing := jobs - set(agent.jobs()):
        await agent.until(len(agent.fires) + len(missing))
    return Counter(agent.jobs())


async def test_every_answered_arm_is_there_after_a_crash_while_arming(tmp_path: Path) -> None:
    with nas_server(tmp_path) as server:
        login = server.add_agent()
        answered: dict[str, str] = {}
        crash = asyncio.Event()

        async def arm(client: AsyncNasClient, each: Arm) -> None:
            result = await client.provision(each.job_id, each.fire_at, each.agent_callback_url)
            answered[each.job_id] = result.schedule_id
            if len(answered) == 100:
                crash.set()

        async with AsyncNasClient(server.url, login.token, max_attempts=1) as client:
            sent = [
                asyncio.create_task(arm(client, each))
                for each in arms(800, 3_600_000, "http://127.0.0.1:9")
            ]
            await crash.wait()
            server.kill()
            done = await asyncio.gather(*sent, return_exceptions=True)
        assert any(isinstance(each, Exception) for each in done)
        server.start()
        with NasClient(server.url, login.token) as again:
            listed = {one.job_id: one.schedule_id for one in again.list_armed()}
    assert answered.items() <= listed.items()


async def test_every_due_fire_arrives_after_crashes_in_the_burst(
    tmp_path: Path, agent: AgentStub
) -> None:
    with nas_server(tmp_path) as server:
        login = server.add_agent()
        wanted = arms(600, 1_500, agent.url)
        async with AsyncNasClient(server.url, login.token) as client:
            assert all(one.ok for one in await client.provision_many(wanted))
        for after in (50, 150, 300):
            await agent.until(after)
            server.kill()
            await asyncio.to_thread(server.start)
        fired = await all_fired(agent, {one.job_id for one in wanted})
        with NasClient(server.url, login.token) as client:
            await until_none_is_armed(client)
    assert min(fire.at_ms for fire in agent.fires) >= parse_instant(agent.fires[0].fire_at)
    # Under way at a crash, and so delivered again: no more than may be under way at a time.
    assert sum(fired.values()) - len(fired) <= 3 * 8


async def until_none_is_armed(client: NasClient) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while await asyncio.to_thread(client.list_armed):
            pass


async def test_a_cancel_that_was_answered_holds_over_a_crash(
    tmp_path: Path, agent: AgentStub
) -> None:
    with nas_server(tmp_path) as server:
        login = server.add_agent()
        with NasClient(server.url, login.token) as client:
            soon, later = (format_instant(system_clock() + ms) for ms in (1_500, 3_600_000))
            await asyncio.to_thread(client.provision, "cancelled", later, agent.url)
            await asyncio.to_thread(client.provision, "kept", soon, agent.url)
            await asyncio.to_thread(client.cancel, "cancelled")
        await asyncio.to_thread(server.restart)
        await agent.until(1)
        with NasClient(server.url, login.token) as client:
            await until_none_is_armed(client)
    assert agent.jobs() == ["kept"]
