"""What every store does. The rules themselves are tested in tests/sdk/protocol/test_one_shot.py."""

import asyncio

import pytest

from nas_sdk._core.instants import format_instant
from nas_sdk.protocol import one_shot
from nas_sdk.protocol.one_shot import DeliveryResult, StoredOneShot
from nas_server.store import Counts, Store
from tests.support.durations import DAY, MINUTE

T = 1_800_000_000_000
ACCEPTED = DeliveryResult(ended=True, note="202")
FAILED = DeliveryResult(ended=False, note="503", retry_after_ms=5_000)


def shot(job: str = "job", due: int = T, agent: str = "a") -> StoredOneShot:
    at = format_instant(due)
    url = "https://agent.example.com"
    return one_shot.fresh(agent, job, at, url, f"{job}:{at}", one_shot.new_schedule_id(), T - 1_000)


async def arm(store: Store, *shots: StoredOneShot, now: int = T - 1_000) -> list[str]:
    return list(await asyncio.gather(*(store.provision(one, now) for one in shots)))


async def test_what_is_armed_comes_back_as_it_was(store: Store) -> None:
    one = shot()
    assert await arm(store, one) == [one.schedule_id]
    assert await store.armed("a") == [one]
    assert await store.armed("b") == []


async def test_many_at_once_are_all_kept(store: Store) -> None:
    shots = [shot(f"job{n}", T + n) for n in range(2_500)]
    assert await arm(store, *shots) == [one.schedule_id for one in shots]
    assert len(await store.armed("a")) == 2_500
    due = [one.job_id for one in await store.due(T + 2, 10)]
    assert due == ["job0", "job1", "job2"]


async def test_the_same_key_at_once_arms_one(store: Store) -> None:
    answers = await arm(store, *(shot() for _ in range(20)))
    assert len(set(answers)) == 1
    assert [one.schedule_id for one in await store.armed("a")] == answers[:1]


async def test_a_lease_is_taken_once(store: Store) -> None:
    await arm(store, *(shot(f"job{n}") for n in range(40)))
    taken = await asyncio.gather(*(store.due(T, 10) for _ in range(8)))
    jobs = [one.job_id for some in taken for one in some]
    assert len(jobs) == len(set(jobs)) == 40


async def test_settled_as_the_rules_say(store: Store) -> None:
    await arm(store, shot("done"), shot("again"))
    held = {one.job_id: one for one in await store.due(T, 10)}
    assert await store.settle(held["done"], ACCEPTED, T + 10) is None
    left = await store.settle(held["again"], FAILED, T + 10)
    assert left is not None
    assert T + 5_010 <= left.not_before_ms < T + 6_010
    assert await store.armed("a") == [left]
    assert await store.next_due() == left.not_before_ms


async def test_delivered_keys_are_remembered_and_forgotten(store: Store) -> None:
    (first,) = await arm(store, shot())
    (held,) = await store.due(T, 1)
    await store.settle(held, ACCEPTED, T)
    assert await arm(store, shot(), now=T + 10 * MINUTE - 1) == [first]
    assert await store.armed("a") == []
    assert await arm(store, shot(), now=T + 10 * MINUTE) != [first]


@pytest.mark.parametrize("ahead", [1, 1_000, MINUTE, MINUTE + 1, 10 * MINUTE, 180 * MINUTE, DAY])
async def test_a_key_delivered_by_a_clock_that_was_ahead_is_remembered_for_no_longer(
    store: Store, ahead: int
) -> None:
    # By a minute, clocks of servers may differ: what they deliver is not to be armed again.
    (first,) = await arm(store, shot())
    (held,) = await store.due(T + ahead, 1)
    await store.settle(held, ACCEPTED, T + ahead)
    assert (await arm(store, shot(), now=T) == [first]) == (ahead <= MINUTE)
    assert len(await store.armed("a")) == (ahead > MINUTE)
    assert await arm(store, shot(), now=T + 11 * MINUTE) != [first]


async def test_a_re_arm_during_a_delivery_wins(store: Store) -> None:
    await arm(store, shot())
    (held,) = await store.due(T, 1)
    anew = shot(due=T + 60_000)
    await arm(store, anew)
    assert await store.settle(held, ACCEPTED, T + 5) == anew
    assert await store.armed("a") == [anew]


async def test_a_cancel_holds_after_the_due_time(store: Store) -> None:
    await arm(store, shot())
    await store.cancel("a", "job", T + 100)
    await store.cancel("a", "job", T + 100)
    assert await store.due(T + 100, 10) == []
    assert await store.next_due() is None


async def test_one_given_up_late_is_shown_for_as_long(store: Store) -> None:
    await arm(store, shot())
    (first,) = await store.due(T, 1)
    await store.settle(first, DeliveryResult(False, "503", DAY), T)
    back = T + 9 * DAY  # nobody was there in between
    (last,) = await store.due(back, 1)
    dead = await store.settle(last, FAILED, back)
    assert await store.dead(back + 7 * DAY - 1, 9) == [dead]
    assert await store.counts(back) == Counts(armed=0, due=0, dead=1)


async def test_the_dead_are_kept_apart(store: Store) -> None:
    await arm(store, shot("dies"), shot("lives", T + DAY))
    (first,) = await store.due(T, 1)
    await store.settle(first, DeliveryResult(False, "503", DAY), T)
    later = T + DAY
    (last,) = await store.due(later, 1)
    dead = await store.settle(last, FAILED, later)
    assert dead is not None
    assert dead.dead
    assert await store.dead(later, 9) == [dead]
    assert [one.job_id for one in await store.armed("a")] == ["lives"]
    assert [one.job_id for one in await store.due(later + 10_000, 10)] == ["lives"]
    assert await store.counts(later) == Counts(armed=1, due=0, dead=1)
    week = later + 7 * DAY
    assert await store.dead(week - 1, 9) == [dead]
    assert await store.dead(week, 9) == []


async def test_agents_at_their_limit_are_passed_over(store: Store) -> None:
    slow = [shot(f"job{n}", agent="slow") for n in range(30)]
    await arm(store, *slow, shot("quick", T + 1, agent="quick"))
    taken = await store.due(T + 1, 100, under_way={"slow": 2}, per_agent=4)
    assert sorted(one.agent for one in taken) == ["quick", "slow", "slow"]
    assert await store.due(T + 1, 100, under_way={"slow": 4}, per_agent=4) == []
    assert await store.next_due() == T
    assert await store.next_due(["slow"]) == T + 1 + MINUTE


async def test_what_is_handed_back_is_due_at_once(store: Store) -> None:
    await arm(store, shot("one"), shot("two"))
    held = await store.due(T, 10)
    await store.cancel("a", "two", T)
    await store.release(held)
    assert [one.job_id for one in await store.due(T, 10)] == ["one"]


async def test_counts(store: Store) -> None:
    assert await store.counts(T) == Counts(armed=0, due=0, dead=0)
    await arm(store, shot("one"), shot("two"), shot("three", T + 1))
    assert await store.counts(T + 5) == Counts(armed=3, due=3, dead=0, oldest_due_ms=T)
    assert await store.counts(T) == Counts(armed=3, due=2, dead=0, oldest_due_ms=T)
    await store.due(T, 1)
    assert await store.counts(T) == Counts(armed=3, due=1, dead=0, oldest_due_ms=T)


@pytest.mark.parametrize("way", ["cancel", "withdraw", "drop"])
async def test_what_is_removed_under_way_is_counted_no_more(store: Store, way: str) -> None:
    await arm(store, shot("one"))
    (one,) = await store.due(T, 1)
    if way == "cancel":
        await store.cancel("a", "one", T)
    elif way == "withdraw":
        await store.withdraw("a", "one", one.schedule_id, T)
    else:
        await store.drop("a", one.generation + 1)
    await arm(store, shot("two", agent="b"))
    assert await store.counts(T) == Counts(armed=1, due=1, dead=0, oldest_due_ms=T)


async def test_records(store: Store) -> None:
    assert await store.read("agent", "a") is None
    await store.write("agent", "b", {"n": 1})
    await store.write("agent", "a", {"n": 2})
    await store.write("token", "a", {"n": 3})
    await store.write("agent", "b", {"n": [None, "ü"]})
    assert await store.read("agent", "b") == {"n": [None, "ü"]}
    assert list((await store.scan("agent")).items()) == [("a", {"n": 2}), ("b", {"n": [None, "ü"]})]
    await store.write("agent", "a", None)
    await store.write("agent", "a", None)
    assert list(await store.scan("agent")) == ["b"]


@pytest.mark.parametrize("text", ["2027-01-15T08:00:00Z", "2027-01-15T09:00:00.123456789+01:00"])
async def test_fire_at_is_carried_byte_for_byte(store: Store, text: str) -> None:
    one = one_shot.fresh("a", "job", text, "https://x.example", f"job:{text}", "os_1", T)
    await store.provision(one, T)
    assert (await store.armed("a"))[0].fire_at == text
