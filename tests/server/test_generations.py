"""A one-shot belongs to the credential that armed it, and goes when that is disowned."""

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import attrs
import pytest

from nas_sdk import NasClient
from nas_sdk._core.instants import format_instant
from nas_sdk.protocol import one_shot
from nas_sdk.protocol.one_shot import DeliveryResult, StoredOneShot
from nas_server.accounts import Accounts, InvalidTokenError
from nas_server.clock import system_clock
from nas_server.store import MemoryStore, Store
from tests.support.agent_stub import agent_stub
from tests.support.nas_in_process import Hosted, eventually, hosted
from tests.support.nas_server import nas_server

T = 1_800_000_000_000
SOON_MS = 60_000
AT = format_instant(T)


def shot(generation: int, url: str = "https://x.example", job: str = "job") -> StoredOneShot:
    key = f"{job}:{AT}"
    return one_shot.fresh("a", job, AT, url, key, one_shot.new_schedule_id(), T, generation)


async def quiet(nas: Hosted, store: Store) -> None:
    """Wait until nothing is armed or under way."""

    async def nothing() -> bool:
        nas.nas.relay.look()
        return not await store.upcoming(1) and not nas.nas.relay.under_way

    await eventually(nothing)


async def test_a_new_instance_inherits_nothing(store: Store) -> None:
    two = agent_stub(system_clock), agent_stub(system_clock)
    async with two[0] as old, two[1] as new, hosted(store) as nas:
        await nas.provision("job", SOON_MS, old.url)
        await nas.nas.accounts.revoke("agent")
        _, nas.token = await nas.nas.accounts.add("agent", "i-2", nas.clock())
        assert await nas.armed() == {}
        await nas.provision("mine", SOON_MS, new.url)
        nas.advance(SOON_MS)
        await new.until(1)
        await quiet(nas, store)
    assert old.fires == []


async def test_the_same_instance_has_its_one_shots_again(store: Store) -> None:
    async with agent_stub(system_clock) as agent, hosted(store) as nas:
        await nas.provision("job", SOON_MS, agent.url)
        await nas.nas.accounts.revoke("agent")
        _, nas.token = await nas.nas.accounts.add("agent", None, nas.clock())
        assert list(await nas.armed()) == ["job"]
        nas.advance(SOON_MS)
        await agent.until(1)


@pytest.mark.parametrize("keep", [True, False])
async def test_a_rotation_keeps_or_drops(store: Store, keep: bool) -> None:
    two = agent_stub(system_clock), agent_stub(system_clock)
    async with two[0] as thief, two[1] as agent, hosted(store) as nas:
        await nas.provision("job", SOON_MS, thief.url)
        _, nas.token = await nas.nas.accounts.rotate("agent", keep_armed=keep)
        assert list(await nas.armed()) == (["job"] if keep else [])
        await nas.provision("mine", SOON_MS, agent.url)
        nas.advance(SOON_MS)
        await agent.until(1)
        await quiet(nas, store)
    assert thief.jobs() == (["job"] if keep else [])


async def test_what_a_call_of_the_old_holder_arms_late_is_not_delivered(store: Store) -> None:
    """It was identified before the rotation and is written after it."""
    async with agent_stub(system_clock) as thief, hosted(store) as nas:
        now = nas.clock()
        await nas.nas.accounts.rotate("agent", keep_armed=False)
        late = one_shot.fresh("agent", "job", format_instant(now), thief.url, "k", "os_1", now, 1)
        await store.provision(late, now)
        nas.nas.relay.look()
        await quiet(nas, store)
        assert thief.fires == []


async def test_what_a_call_of_the_old_holder_arms_late_is_not_listed() -> None:
    store = MemoryStore()
    async with hosted(store) as nas:
        now = nas.clock()
        _, nas.token = await nas.nas.accounts.rotate("agent", keep_armed=False)
        late = format_instant(now + SOON_MS)
        await store.provision(
            one_shot.fresh("agent", "job", late, "https://x.example", "k", "os_1", now, 1), now
        )
        assert await nas.armed() == {}
        await nas.provision("mine", SOON_MS, "https://agent.example")
        assert list(await nas.armed()) == ["mine"]


async def test_the_same_key_is_armed_anew_with_the_callback_of_the_new_holder(
    store: Store,
) -> None:
    old, new = shot(1, "https://thief.example"), shot(2, "https://agent.example")
    await store.provision(old, T)
    assert await store.provision(new, T) == new.schedule_id
    assert await store.armed("a") == [new]
    assert await store.provision(shot(2), T) == new.schedule_id
    assert await store.provision(shot(1, "https://thief.example"), T) == new.schedule_id
    assert await store.armed("a") == [new]


async def test_drop_takes_older_credentials_and_what_they_delivered(store: Store) -> None:
    delivered, old, new = shot(1, job="delivered"), shot(1, job="old"), shot(2, job="new")
    await store.provision(delivered, T)
    (tried,) = await store.due(T, 1)
    await store.settle(tried, DeliveryResult(ended=True, note="202"), T)
    for one in (old, new):
        await store.provision(one, T)
    other = attrs.evolve(old, agent="b")
    await store.provision(other, T)
    await store.drop("a", 2)
    assert await store.armed("a") == [new]
    assert await store.armed("b") == [other]
    assert {one.job_id for one in await store.due(T, 9)} == {"new", "old"}  # that of b
    again = shot(2, job="delivered")
    assert await store.provision(again, T) == again.schedule_id


async def test_swap_is_of_what_is_there(store: Store) -> None:
    one, two = {"n": 1}, {"n": 2}
    assert not await store.swap("kind", "key", one, two)
    assert await store.swap("kind", "key", None, one)
    assert not await store.swap("kind", "key", None, two)
    assert await store.swap("kind", "key", one, two)
    assert await store.read("kind", "key") == two
    assert not await store.swap("kind", "key", one, None)
    assert await store.swap("kind", "key", two, None)
    assert (await store.read("kind", "key"), await store.scan("kind")) == (None, {})
    assert await store.swap("kind", "key", None, two)


class RacingStore(MemoryStore):
    """Before its second swap, it does something else."""

    def __init__(self, other: Callable[["RacingStore"], Awaitable[object]]) -> None:
        super().__init__()
        self.swaps = 0
        self._other = other

    async def swap(self, *given: Any) -> bool:
        self.swaps += 1
        if self.swaps == 2:
            await self._other(self)
        return await super().swap(*given)


async def test_a_change_undoes_no_other() -> None:
    store = RacingStore(lambda store: Accounts(store).rotate("a"))
    accounts = Accounts(store)
    _, first = await accounts.add("a", None, T)
    revoked = await accounts.revoke("a")
    assert (revoked.revoked, revoked.generation) == (True, 2)
    with pytest.raises(InvalidTokenError):
        await accounts.identify(first, T)
    assert len(await store.scan("token")) == 1


async def test_agents_and_one_shots_of_before_are_kept() -> None:
    store = MemoryStore()
    before = {"name": "a", "instance_id": "i", "token_hash": "h", "created_ms": T, "revoked": False}
    await store.write("agent", "a", before)
    agent = await Accounts(store).find("a")
    assert agent is not None
    assert agent.honours(shot(0))
    agent, _ = await Accounts(store).rotate("a")
    assert agent.honours(shot(0))
    agent, _ = await Accounts(store).rotate("a", keep_armed=False)
    assert not agent.honours(shot(0))
    assert not agent.honours(shot(1))


def test_the_command_says_what_became_of_them(tmp_path: Path) -> None:
    with nas_server(tmp_path) as server:
        token = server.add_agent().token
        for flags, key, left in (
            ((), "armed_kept", 2),
            (("--keep-armed",), "armed_kept", 2),
            (("--compromised",), "armed_dropped", 0),
        ):
            with NasClient(server.url, token) as client:
                for job in ("one", "two"):
                    client.provision(job, "2099-01-01T00:00:00Z", "http://127.0.0.1:9")
            told = json.loads(server.command("agent", "rotate", "agent", *flags, "--json"))
            assert told[key] == 2
            token = told["token"]
            with NasClient(server.url, token) as client:
                assert len(client.list_armed()) == left
        assert "armed kept" in server.command("agent", "rotate", "agent")
        server.revoke()
        told = json.loads(server.command("agent", "add", "agent", "--json"))
        assert told["armed_kept"] == 0
        server.revoke()
        told = json.loads(
            server.command("agent", "add", "agent", "--instance-id", "other", "--json")
        )
        assert told["armed_dropped"] == 0
        (listed,) = json.loads(server.command("agent", "list", "--json"))
        assert (listed["credential"], listed["credential_kind"]) == (7, "token")
        assert "credential 7 (token)" in server.command("agent", "list")
