"""An agent has as many one-shots as a list of the contract may have, and no more."""

import asyncio
from collections import Counter
from typing import Any

import pytest

from nas_sdk.protocol import one_shot
from nas_server.policy import QuotaPolicy
from nas_server.quota import Quota
from nas_server.store import MemoryStore
from tests.support.nas_in_process import Hosted, hosted

AT = "2099-06-18T12:34:56Z"
SMALL: dict[str, Any] = {"one_shots": 3}


class CountingStore(MemoryStore):
    """Counts how often an agent's one-shots are read."""

    looks = 0

    async def armed(self, agent: str) -> Any:
        self.looks += 1
        await asyncio.sleep(0)  # as a store that reads does
        return await super().armed(agent)


async def arm(nas: Hosted, job_id: str, at: str = AT, token: str | None = None) -> tuple[int, Any]:
    body = {
        "job_id": job_id,
        "fire_at": at,
        "agent_callback_url": "https://agent-7.example.com",
        "dedup_key": f"{job_id}:{at}",
    }
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    answer = await nas.call("POST", "/api/agent-cron/provision", json=body, headers=headers)
    return answer[0], answer


async def listed(nas: Hosted) -> set[str]:
    _, body, _ = await nas.call("GET", "/api/agent-cron/list")
    return {each["job_id"] for each in body["armed"]}


async def test_one_more_than_an_agent_may_have_is_refused_and_no_other_agent_feels_it() -> None:
    async with hosted(MemoryStore(), allow_private_callbacks=False, **SMALL) as nas:
        assert [(await arm(nas, f"job-{n}"))[0] for n in range(3)] == [200] * 3
        status, (_, body, headers) = await arm(nas, "job-3")
        assert (status, body["error"], headers["Retry-After"]) == (429, "slow_down", "5")
        assert "3 one-shots" in body["error_description"]
        assert await listed(nas) == {"job-0", "job-1", "job-2"}
        _, other = await nas.nas.accounts.add("other", None, 0)
        assert (await arm(nas, "job-3", token=other))[0] == 200


async def test_what_an_agent_has_is_replaced_though_it_has_all_it_may_have() -> None:
    async with hosted(MemoryStore(), allow_private_callbacks=False, **SMALL) as nas:
        for n in range(3):
            await arm(nas, f"job-{n}")
        later = "2099-07-18T12:34:56Z"
        assert (await arm(nas, "job-1", later))[0] == 200
        assert (await arm(nas, "job-3"))[0] == 429


async def test_what_it_has_is_replaced_and_repeated_as_often_as_it_likes() -> None:
    store = CountingStore()
    async with hosted(store, allow_private_callbacks=False, **SMALL) as nas:
        for n in range(3):
            await arm(nas, f"job-{n}")
        before = store.looks
        for n in range(50):
            status, _ = await arm(nas, f"job-{n % 5}", f"2099-07-18T12:34:{n:02}Z")
            assert status == (200 if n % 5 < 3 else 429)
        assert store.looks <= before + 1


@pytest.mark.parametrize("step", [-86_400_000, -1, 4_999])
async def test_a_cancel_makes_room_which_is_seen_after_a_while(step: int) -> None:
    # Calls are not limited: the clock set back makes an agent wait for a second.
    more = SMALL | {"calls": 0}
    async with hosted(MemoryStore(), allow_private_callbacks=False, **more) as nas:
        for n in range(4):
            await arm(nas, f"job-{n}")
        await nas.cancel("job-0")
        assert (await arm(nas, "job-3"))[0] == 429
        nas.clock.now += step
        status = (await arm(nas, "job-3"))[0]
        assert status == (429 if step > 0 else 200)  # nor does a clock that is set back keep it out
        nas.clock.now += 1
        assert (await arm(nas, "job-3"))[0] == 200
        assert await listed(nas) == {"job-1", "job-2", "job-3"}


async def test_an_agent_is_not_counted_at_every_arm() -> None:
    store = CountingStore()
    async with hosted(store, allow_private_callbacks=False, one_shots=1_000) as nas:
        for n in range(500):
            assert (await arm(nas, f"job-{n % 20}", f"2099-07-18T12:34:56.{n:03}Z"))[0] == 200
        assert store.looks == 1
        await arm(nas, "job-0")
        assert store.looks == 2


async def test_many_at_once_are_no_more_than_an_agent_may_have() -> None:
    store = CountingStore()
    async with hosted(store, allow_private_callbacks=False, one_shots=40) as nas:
        answers = await asyncio.gather(*(arm(nas, f"job-{n}") for n in range(100)))
        assert Counter(status for status, _ in answers) == {200: 40, 429: 60}
        assert store.looks == 2
        assert len(await listed(nas)) == 40


async def test_an_agent_that_has_almost_all_is_counted_once_in_a_while_and_to_the_last() -> None:
    store = CountingStore()
    async with hosted(store, allow_private_callbacks=False, one_shots=100) as nas:
        for n in range(98):
            assert (await arm(nas, f"job-{n}"))[0] == 200
        store.looks = 0
        for n in range(60):
            assert (await arm(nas, f"job-{n}", "2099-07-18T12:34:56Z"))[0] == 200
        answers = [(await arm(nas, f"new-{n}"))[0] for n in range(5)]
        assert answers == [200, 200, 429, 429, 429]
        assert store.looks <= 2


async def test_of_many_agents_the_first_are_counted_anew() -> None:
    store = CountingStore()
    quota = Quota(store, None, 1_000, QuotaPolicy(agents=2))
    for agent in "abcb":
        await quota.wait_s(agent, "job", 0)
    assert store.looks == 3
    await quota.wait_s("a", "job", 0)
    assert store.looks == 4


async def test_a_new_process_counts_what_is_there() -> None:
    store = MemoryStore()
    async with hosted(store, allow_private_callbacks=False, **SMALL) as nas:
        for n in range(3):
            await arm(nas, f"job-{n}")
        assert await Quota(store, None, 3, QuotaPolicy()).wait_s("agent", "job-3", 0) == 5


@pytest.mark.parametrize(
    ("number", "most", "beside", "shown"), [(2, 5, 3, 5), (2, 5, 9, 5), (2, 9, 3, 6), (0, 5, 3, 6)]
)
async def test_a_list_ends_where_the_contract_does_and_not_where_an_agent_is_full(
    number: int, most: int, beside: int, shown: int
) -> None:
    store, policy = MemoryStore(), QuotaPolicy(listed=most, beside=beside)
    async with hosted(store, allow_private_callbacks=False, one_shots=number, quota=policy) as nas:
        for n in range(6):  # as from before the number was lowered
            wanted = one_shot.fresh(
                "agent", f"job-{n}", AT, "http://x", f"job-{n}:{AT}", f"s{n}", 0, 1, {}
            )
            await store.provision(wanted, 0)
        assert len(await listed(nas)) == shown


async def test_the_number_need_not_be_limited() -> None:
    async with hosted(MemoryStore(), allow_private_callbacks=False, one_shots=0) as nas:
        for n in range(30):
            assert (await arm(nas, f"job-{n}"))[0] == 200
        assert len(await listed(nas)) == 30


async def test_long_lists_count_as_more_calls() -> None:
    policy = QuotaPolicy(per_call=1, listed=3)
    async with hosted(MemoryStore(), allow_private_callbacks=False, calls=1, quota=policy) as nas:
        for n in range(3):
            await arm(nas, f"job-{n}")
        answers = [await nas.call("GET", "/api/agent-cron/list") for _ in range(20)]
        # Of a minute's 60 calls four are gone, the first of them a look; each list takes four.
        assert [status for status, _, _ in answers].count(200) == 15
        waits = {headers.get("Retry-After") for status, _, headers in answers if status == 429}
        assert waits == {"4"}
