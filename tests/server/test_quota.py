"""An agent has as many one-shots as a list of the contract may have, and no more."""

from typing import Any

from nas_server.policy import QuotaPolicy
from nas_server.quota import Quota
from nas_server.store import MemoryStore
from tests.support.nas_in_process import Hosted, hosted

AT = "2099-06-18T12:34:56Z"
SMALL: dict[str, Any] = {"one_shots": 3, "quota": QuotaPolicy(unseen=1)}


class CountingStore(MemoryStore):
    """Counts how often an agent's one-shots are read."""

    looks = 0

    async def armed(self, agent: str) -> Any:
        self.looks += 1
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


async def test_a_cancel_makes_room_which_is_seen_after_a_while() -> None:
    async with hosted(MemoryStore(), allow_private_callbacks=False, **SMALL) as nas:
        for n in range(4):
            await arm(nas, f"job-{n}")
        await nas.cancel("job-0")
        assert (await arm(nas, "job-3"))[0] == 429
        nas.clock.now += 4_999
        assert (await arm(nas, "job-3"))[0] == 429
        nas.clock.now += 1
        assert (await arm(nas, "job-3"))[0] == 200
        assert await listed(nas) == {"job-1", "job-2", "job-3"}


async def test_an_agent_is_not_counted_at_every_arm() -> None:
    store = CountingStore()
    policy = QuotaPolicy(unseen=10)
    async with hosted(store, allow_private_callbacks=False, one_shots=100, quota=policy) as nas:
        for n in range(95):
            assert (await arm(nas, f"job-{n}"))[0] == 200
        assert store.looks == 1
        again = [(await arm(nas, f"job-{n}", "2099-07-18T12:34:56Z"))[0] for n in range(60)]
        assert again == [200] * 60
        assert store.looks <= 1 + 60 // 5


async def test_an_agent_that_has_enough_is_counted_once_in_a_while_whatever_it_sends() -> None:
    store = CountingStore()
    async with hosted(store, allow_private_callbacks=False, **SMALL) as nas:
        for n in range(3):
            await arm(nas, f"job-{n}")
        before = store.looks
        for n in range(50):
            await arm(nas, f"job-{n % 5}", f"2099-07-18T12:34:{n:02}Z")
        assert store.looks == before + 1


async def test_a_new_process_counts_what_is_there() -> None:
    store = MemoryStore()
    async with hosted(store, allow_private_callbacks=False, **SMALL) as nas:
        for n in range(3):
            await arm(nas, f"job-{n}")
        assert await Quota(store, 3, QuotaPolicy()).wait_s("agent", "job-3", nas.clock()) == 5


async def test_a_list_is_never_longer_than_the_contract_says() -> None:
    policy = QuotaPolicy(unseen=2)
    store = MemoryStore()
    async with hosted(store, allow_private_callbacks=False, one_shots=3, quota=policy) as nas:
        for n in range(3):
            await arm(nas, f"job-{n}")
        await nas.cancel("job-0")
        assert [(await arm(nas, f"job-{n}"))[0] for n in (3, 4)] == [200, 200]
        assert len(await store.armed("agent")) == 4
        assert len(await listed(nas)) == 3


async def test_the_number_need_not_be_limited() -> None:
    async with hosted(MemoryStore(), allow_private_callbacks=False, one_shots=0) as nas:
        for n in range(30):
            assert (await arm(nas, f"job-{n}"))[0] == 200
        assert len(await listed(nas)) == 30
